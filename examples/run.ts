import { readdirSync } from 'node:fs';

const FOLDER = new URL('safety/', import.meta.url);

// Each asserts what it says; the first that is wrong ends the run.
for (const name of readdirSync(FOLDER).sort()) {
  await import(new URL(name, FOLDER).href);
  console.log(`${name}: as it says`);
}
