import type {
  AttributeValue,
  ConditionCheck as DriverCondition,
  Delete as DriverDelete,
  Put as DriverPut,
  Update as DriverUpdate,
  TransactWriteItem,
} from '@aws-sdk/client-dynamodb';
import { marshall, type NativeAttributeValue, unmarshall } from '@aws-sdk/util-dynamodb';

/** An item, a key, or a set of expression values, in JavaScript's own types. */
export type Item = Record<string, NativeAttributeValue>;

const DOCUMENT_MEMBERS = ['Key', 'Item', 'ExpressionAttributeValues', 'ExclusiveStartKey'] as const;
type DocumentMember = (typeof DOCUMENT_MEMBERS)[number];

/** A driver's input with plain values in place of typed ones. Members that are `undefined` inside them are left out. */
export type Plain<Input> = {
  [Member in keyof Input]: Member extends DocumentMember
    ? Item | Extract<Input[Member], undefined>
    : Input[Member];
};

/** The members of a transaction, in plain values. */
export type TransactItems = {
  [Action in keyof TransactWriteItem]: Plain<NonNullable<TransactWriteItem[Action]>>;
}[];

/**
 * The input as the driver takes it.
 *
 * The document client of `@aws-sdk/lib-dynamodb` does the same by walking every input and output along a description of
 * its members and by taking the middleware apart for each call: a tenth of the broker's time under load.
 */
export function toDriver<Input extends object>(input: Plain<Input>): Input {
  const converted: Record<string, unknown> = { ...input };
  for (const member of DOCUMENT_MEMBERS) {
    if (converted[member] !== undefined) {
      converted[member] = marshall(converted[member], { removeUndefinedValues: true });
    }
  }
  // Every document member was converted, and no other member has another type than before.
  return converted as Input;
}

/** Each of a transaction's actions as the driver takes them. */
export const toDriverItems = (items: TransactItems): TransactWriteItem[] =>
  items.map(({ ConditionCheck, Put, Update, Delete }) => ({
    ...(ConditionCheck && { ConditionCheck: toDriver<DriverCondition>(ConditionCheck) }),
    ...(Put && { Put: toDriver<DriverPut>(Put) }),
    ...(Update && { Update: toDriver<DriverUpdate>(Update) }),
    ...(Delete && { Delete: toDriver<DriverDelete>(Delete) }),
  }));

/** An item as the driver returned it, or none, in plain values. */
export const fromDriver = (item: Record<string, AttributeValue> | undefined): Item | undefined =>
  item && fromItem(item);

/** As the driver's own `unmarshall` has it, in an eighth of its time: a sync reads every record of the pool. */
export function fromItem(item: Record<string, AttributeValue>): Item {
  const plain: Item = {};
  for (const name of Object.keys(item)) plain[name] = fromValue(item[name]);
  return plain;
}

function fromValue(value: AttributeValue | undefined): NativeAttributeValue {
  if (value === undefined) return undefined;
  if (value.S !== undefined) return value.S;
  if (value.N !== undefined) {
    const number = Number(value.N);
    if (Number.isSafeInteger(number)) return number;
  } else if (value.M !== undefined) return fromItem(value.M);
  else if (value.BOOL !== undefined) return value.BOOL;
  // What is rare: lists, sets, bytes, numbers beyond those of JavaScript.
  return unmarshall({ value })['value'];
}
