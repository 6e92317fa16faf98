import { type Command, Option } from 'commander';
import type { Effect, EffectList, Idempotency } from '../../api/once.ts';
import { EFFECT_STATES } from '../../domain/resilience/effect.ts';
import { as } from '../answers.ts';
import { callerFor, type GlobalOptions } from '../environment.ts';
import { createOutput, fields, time } from '../output.ts';
import { collect, limitOption, moreNote } from '../pages.ts';

interface ListOptions extends GlobalOptions {
  limit: number;
  type?: string;
  state?: string;
  kind?: string;
}

/** What must happen once: effects, and requests with a key. */
export function addOnceCommands(program: Command): void {
  program
    .command('effects')
    .description(
      'list what must happen once, such as deletes, and what is known of it; reads through the whole table',
    )
    .addOption(new Option('--state <state>', 'only in this state').choices(EFFECT_STATES))
    .option('--type <type>', 'only of this type, such as csp_delete')
    .addOption(limitOption(20))
    .addHelpText('after', '\nExample:\n  $ sandbox-broker effects --type csp_delete --state in_progress')
    .action(async (_options, command: Command) => {
      const options: ListOptions = command.optsWithGlobals();
      const { state, type } = options;
      const call = callerFor('admin', options);
      const { items: effects, more } = await collect<Effect>(options, async (limit, cursor) => {
        const query = { state, type, limit, cursor };
        const page = as<EffectList>(await call({ method: 'GET', path: '/v1/admin/effects', query }));
        return { items: page.effects, cursor: page.cursor };
      });
      const rows = effects.map((effect) => [
        effect.type,
        typeof effect.entity === 'string' ? effect.entity : JSON.stringify(effect.entity),
        effect.generation,
        effect.state,
        time(effect.changed_at),
        effect.error ?? (effect.result === undefined ? undefined : JSON.stringify(effect.result)),
      ]);
      const output = createOutput(options);
      output.result({ effects, count: effects.length, more }, () =>
        output
          .table(['TYPE', 'ENTITY', 'GENERATION', 'STATE', 'CHANGED', 'RESULT'], rows)
          .concat(moreNote(more)),
      );
    });

  program
    .command('idempotency')
    .description(
      'show what became of requests with a key, and the keys that are remembered; reads through the whole table',
    )
    .addOption(
      new Option('--kind <kind>', "only operators' requests, or only leases").choices(['request', 'lease']),
    )
    .addOption(limitOption(20))
    .addHelpText('after', '\nExample:\n  $ sandbox-broker idempotency --kind request')
    .action(async (_options, command: Command) => {
      const options: ListOptions = command.optsWithGlobals();
      const { kind } = options;
      const call = callerFor('admin', options);
      let counts: Pick<Idempotency, 'requests' | 'leases'> | undefined;
      const { items: keys, more } = await collect<Idempotency['keys'][number]>(
        options,
        async (limit, cursor) => {
          const query = { kind, limit, cursor };
          const page = as<Idempotency>(await call({ method: 'GET', path: '/v1/admin/idempotency', query }));
          counts = { requests: page.requests, leases: page.leases };
          return { items: page.keys, cursor: page.cursor };
        },
      );
      const rows = keys.map((key) => [
        key.kind,
        key.state,
        key.kind === 'request' ? key.operation : key.sandbox_id,
        time(key.began_at),
        time(key.remembered_until),
        key.id.slice(0, 12),
      ]);
      const output = createOutput(options);
      output.result({ ...counts, keys, count: keys.length, more }, () => [
        ...fields({ ...counts }),
        '',
        ...output.table(['KIND', 'STATE', 'OF', 'BEGAN', 'UNTIL', 'KEY'], rows).concat(moreNote(more)),
      ]);
    });
}
