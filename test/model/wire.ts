import {
  ConditionalCheckFailedException,
  type DynamoDBClient,
  TransactionCanceledException,
} from '@aws-sdk/client-dynamodb';
import { Client } from 'undici';
import { z } from 'zod';

type Command = Parameters<DynamoDBClient['send']>[0];

/** The way to an engine. */
export interface Wire {
  send(command: Command): Promise<unknown>;
  close(): Promise<void>;
}

const cancellation = z.object({ Code: z.string().optional(), Item: z.unknown().optional() });
const refusal = z.looseObject({
  __type: z.string(),
  message: z.string().optional(),
  CancellationReasons: z.array(cancellation).optional(),
});

/** What these engines ask for, and do not look into. */
const UNSIGNED = {
  authorization:
    'AWS4-HMAC-SHA256 Credential=local/20300101/local/dynamodb/aws4_request, SignedHeaders=host, Signature=0',
  'x-amz-date': '20300101T000000Z',
};

/**
 * Sends commands to an engine without the SDK's middleware, which would be half of the time that thousands of programs
 * take: what DynamoDB's protocol says is JSON here and there.
 */
export function createWire(endpoint: string): Wire {
  const client = new Client(endpoint);
  return {
    async send(command) {
      const operation = command.constructor.name.replace(/Command$/, '');
      const { statusCode, body } = await client.request({
        method: 'POST',
        path: '/',
        headers: {
          'content-type': 'application/x-amz-json-1.0',
          'x-amz-target': `DynamoDB_20120810.${operation}`,
          ...UNSIGNED,
        },
        body: JSON.stringify(command.input),
      });
      const answer: unknown = await body.json();
      if (statusCode === 200) return answer;
      throw errorOf(statusCode, answer);
    },
    close: () => client.close(),
  };
}

/** As the SDK has it. */
function errorOf(httpStatusCode: number, answer: unknown): Error {
  const { __type, message = '', ...rest } = refusal.parse(answer);
  const name = __type.slice(__type.lastIndexOf('#') + 1);
  const options = { message, $metadata: { httpStatusCode }, ...rest };
  switch (name) {
    case 'ConditionalCheckFailedException':
      return new ConditionalCheckFailedException(options);
    case 'TransactionCanceledException':
      return new TransactionCanceledException(
        options as ConstructorParameters<typeof TransactionCanceledException>[0],
      );
    default:
      return Object.assign(new Error(message), { name, $fault: 'client', $metadata: { httpStatusCode } });
  }
}
