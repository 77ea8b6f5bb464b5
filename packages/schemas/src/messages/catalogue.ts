import type { Consumer } from "../envelope.ts"
import { CancelServiceCall, SetServiceCallTags, SubmitServiceCall } from "./api.ts"
import { ExecutionFailed, ExecutionStarted, ExecutionSucceeded } from "./execution.ts"
import {
  CancelTimer,
  ScheduleTimer,
  ServiceCallCancelled,
  ServiceCallFailed,
  ServiceCallRunning,
  ServiceCallScheduled,
  ServiceCallSubmitted,
  ServiceCallSucceeded,
  ServiceCallTagsChanged,
  StartExecution
} from "./orchestration.ts"
import { DueTimeReached } from "./timer.ts"

/** Every message of the system by its type. */
export const catalogue = {
  SubmitServiceCall,
  CancelServiceCall,
  SetServiceCallTags,
  ScheduleTimer,
  CancelTimer,
  StartExecution,
  ServiceCallSubmitted,
  ServiceCallScheduled,
  ServiceCallRunning,
  ServiceCallSucceeded,
  ServiceCallFailed,
  ServiceCallCancelled,
  ServiceCallTagsChanged,
  DueTimeReached,
  ExecutionStarted,
  ExecutionSucceeded,
  ExecutionFailed
} as const

type Catalogue = typeof catalogue
export type MessageType = keyof Catalogue

/** What travels beside the envelope, and is no part of it. */
interface Traced {
  /** The span that published the message, while spans are exported. */
  readonly traceparent?: string | undefined
}

/** The decoded envelope of one type, or of any. */
export type Message<Type extends MessageType = MessageType> = {
  readonly [T in Type]: Catalogue[T]["envelope"]["Type"] & Traced
}[Type]

/** What a publisher writes: the bus adds `messageId` and `schemaVersion`. */
export type MessageDraft<Type extends MessageType = MessageType> = {
  readonly [T in Type]: Omit<Message<T>, "messageId" | "schemaVersion">
}[Type]

/** The types that a consumer gets. */
export type TypeFor<C extends Consumer> = {
  [T in MessageType]: C extends Catalogue[T]["to"][number] ? T : never
}[MessageType]

export type MessageFor<C extends Consumer> = Message<TypeFor<C>>

/** The consumers of a type; none for events that only observers read. */
export const consumersOf = (type: MessageType): ReadonlyArray<Consumer> => catalogue[type].to
