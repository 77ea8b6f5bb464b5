import type { Service } from "../process.ts"

/** A JSON schema, as far as the document uses it. */
export interface JsonSchema {
  readonly $ref?: string
  readonly type?: "string" | "number" | "integer" | "boolean" | "null" | "array" | "object"
  readonly enum?: ReadonlyArray<unknown>
  readonly anyOf?: ReadonlyArray<JsonSchema>
  readonly pattern?: string
  readonly format?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly maxItems?: number
  readonly uniqueItems?: boolean
  readonly items?: JsonSchema
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: ReadonlyArray<string>
  readonly additionalProperties?: boolean | JsonSchema
}

export interface Parameter {
  readonly name: string
  readonly in: "path" | "query" | "header"
  readonly required: boolean
  readonly schema: JsonSchema
}

interface DocumentedOperation {
  readonly operationId: string
  readonly parameters?: ReadonlyArray<Parameter>
  readonly requestBody?: {
    readonly required?: boolean
    readonly content: { readonly "application/json": { readonly schema: JsonSchema } }
  }
  readonly responses: Readonly<Record<string, unknown>>
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, DocumentedOperation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, JsonSchema>> }
}

/** One method of one path, with all that the document says of it. */
export interface Operation {
  readonly id: string
  /** In upper case. */
  readonly method: string
  /** With parameters in braces. */
  readonly path: string
  readonly parameters: ReadonlyArray<Parameter>
  readonly body: { readonly schema: JsonSchema; readonly isRequired: boolean } | undefined
  /** The statuses that it may answer. */
  readonly statuses: ReadonlySet<number>
}

export interface Contract {
  readonly operations: ReadonlyArray<Operation>
  readonly schemas: Readonly<Record<string, JsonSchema>>
}

/** What the running program says it can do. */
export const readContract = async (service: Service): Promise<Contract> => {
  const document: Document = await (await service.fetch("/openapi.json")).json()
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Operation => {
      const { operationId, parameters = [], requestBody, responses } = operation
      return {
        id: operationId,
        method: method.toUpperCase(),
        path,
        parameters,
        body: requestBody && {
          schema: requestBody.content["application/json"].schema,
          isRequired: requestBody.required === true
        },
        statuses: new Set(Object.keys(responses).map(Number))
      }
    })
  )
  return { operations, schemas: document.components.schemas }
}
