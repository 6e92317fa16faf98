import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse as parseHcl } from '@cdktn/hcl2json';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { tableDefinition } from '../../src/store/table.ts';

/** An expression, as the reader of HCL gives it. */
const expression = (text: string): string => `\${${text}}`;

/* No AWS takes part: what is tested is that both ways make one and the same table, the one that the broker opens. */

const FOLDER = new URL('../../deploy/aws/', import.meta.url);
const read = (file: string): string => readFileSync(new URL(file, FOLDER), 'utf8');

interface Module {
  resource: { aws_dynamodb_table: { table: [Record<string, unknown>] } };
  variable: Record<string, [{ default: unknown; validation: [{ condition: string }] }]>;
  output: Record<string, [{ value: string }]>;
}
const module = (await parseHcl('main.tf', read('terraform/main.tf'))) as Module;
const [table] = module.resource.aws_dynamodb_table.table;

const template = parse(read('table.yml')) as {
  Parameters: Record<
    'TableName' | 'WarmWriteUnits',
    { Default: unknown; AllowedPattern: string; MinValue: number }
  >;
  Conditions: { IsWarmed: unknown };
  Resources: { Table: { Properties: Record<string, unknown> } };
  Outputs: Record<string, unknown>;
};
const { TableName, WarmWriteUnits } = template.Parameters;
const { Properties } = template.Resources.Table;

describe('the Terraform module', () => {
  test('makes the table that the broker would make', () => {
    const { AttributeDefinitions, KeySchema, LocalSecondaryIndexes, BillingMode } = tableDefinition('any');
    const [hash, range] = KeySchema;
    expect(table).toMatchObject({
      billing_mode: BillingMode,
      hash_key: hash?.AttributeName,
      range_key: range?.AttributeName,
      attribute: AttributeDefinitions.map(({ AttributeName: name, AttributeType: type }) => ({ name, type })),
      local_secondary_index: LocalSecondaryIndexes.map((index) => ({
        name: index.IndexName,
        range_key: index.KeySchema[1]?.AttributeName,
        projection_type: index.Projection.ProjectionType,
      })),
    });
  });

  test('gives it the name, the TTL, the backups and the protection that the template gives', () => {
    expect(table).toMatchObject({
      name: expression('var.table_name'),
      ttl: [{ attribute_name: 'ttl', enabled: true }],
      point_in_time_recovery: [{ enabled: true }],
      deletion_protection_enabled: true,
      lifecycle: [{ prevent_destroy: true }],
    });
    expect(Properties).toMatchObject({
      TimeToLiveSpecification: { AttributeName: 'ttl', Enabled: true },
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      DeletionProtectionEnabled: true,
    });
    const [name] = module.variable['table_name'] ?? [];
    expect(name?.default).toBe(TableName.Default);
    expect(name?.validation[0].condition).toContain(`"^${TableName.AllowedPattern}$"`);
    // What there is besides would be in one of the two only.
    expect(Object.keys(table).sort()).toEqual([
      ...['attribute', 'billing_mode', 'deletion_protection_enabled', 'dynamic', 'hash_key', 'lifecycle'],
      ...['local_secondary_index', 'name', 'point_in_time_recovery', 'range_key', 'ttl'],
    ]);
    expect(Object.keys(module.output).sort()).toEqual(['table_arn', 'table_name']);
    expect(Object.keys(template.Outputs)).toEqual(['TableName', 'TableArn']);
  });

  test('warms it up as the template does: for more than a new table takes, and for nothing else', () => {
    const [units] = module.variable['warm_write_units'] ?? [];
    expect(units?.default).toBe(WarmWriteUnits.Default);
    expect(units?.validation[0].condition).toBe(
      expression(`var.warm_write_units >= ${WarmWriteUnits.MinValue}`),
    );
    expect(table['dynamic']).toEqual({
      warm_throughput: [
        {
          for_each: expression('var.warm_write_units > 4000 ? [var.warm_write_units] : []'),
          content: [
            { read_units_per_second: 12_000, write_units_per_second: expression('warm_throughput.value') },
          ],
        },
      ],
    });
    expect(template.Conditions.IsWarmed).toEqual({
      'Fn::Not': [{ 'Fn::Equals': [{ Ref: 'WarmWriteUnits' }, WarmWriteUnits.MinValue] }],
    });
    expect(Properties['WarmThroughput']).toEqual({
      'Fn::If': [
        'IsWarmed',
        { ReadUnitsPerSecond: 12_000, WriteUnitsPerSecond: { Ref: 'WarmWriteUnits' } },
        { Ref: 'AWS::NoValue' },
      ],
    });
  });

  const installed = spawnSync('terraform', ['version']).error === undefined;
  test.skipIf(!installed)(
    `is written as Terraform writes it${installed ? '' : ' (skipped: terraform is not installed)'}`,
    () => {
      const folder = fileURLToPath(new URL('terraform/', FOLDER));
      const { stdout, stderr, status } = spawnSync('terraform', ['fmt', '-check', '-diff', folder], {
        encoding: 'utf8',
      });
      expect([stdout, status], stderr).toEqual(['', 0]);
    },
  );
});
