import { ServiceCallId } from "@event-service-agent/schemas/ids"
import { fromMillis, toMillis } from "@event-service-agent/schemas/time"
import { Effect, Option, Result, Schema, SchemaGetter, SchemaIssue } from "effect"
import { Base64Url } from "effect/encoding"

/** A place in the order of the list: newest accepted first, then the greatest id. */
const Cursor = Schema.Struct({ acceptedAt: Schema.DateTimeUtc, serviceCallId: ServiceCallId })
export type Cursor = typeof Cursor.Type

/** How a cursor looks from outside: base64url. */
export const CURSOR_PATTERN = "^[A-Za-z0-9_-]{1,128}$"
const INSTANT_AND_ID = /^(\d{1,15})\.(.*)$/
const isId = Schema.is(ServiceCallId)

const parse = (text: string): Option.Option<Cursor> => {
  const match = INSTANT_AND_ID.exec(Result.getOrElse(Base64Url.decodeString(text), () => ""))
  const [millis, serviceCallId] = [Number(match?.[1]), match?.[2]]
  return isId(serviceCallId) ? Option.some({ acceptedAt: fromMillis(millis), serviceCallId }) : Option.none()
}

/** A cursor as it travels: clients hand it back as they got it. */
export const CursorFromString = Schema.String.pipe(
  Schema.decodeTo(Schema.toType(Cursor), {
    decode: SchemaGetter.transformEffect((text: string) =>
      Option.match(parse(text), {
        onNone: () => Effect.fail(new SchemaIssue.InvalidValue({ message: "Expected the next of an earlier answer" })),
        onSome: Effect.succeed
      })
    ),
    encode: SchemaGetter.transform((cursor: Cursor) =>
      Base64Url.encode(`${toMillis(cursor.acceptedAt)}.${cursor.serviceCallId}`)
    )
  })
)

export const encodeCursor = Schema.encodeSync(CursorFromString)
