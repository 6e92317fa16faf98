import { readFile } from 'node:fs/promises';
import { markdownToHtml } from './markdown.ts';

/** Where it is served: what alerts lead to, unless runbooks are kept elsewhere. */
export const OPERATIONS_PATH = '/console/operations';

const DOCUMENT = new URL('../../docs/operations.md', import.meta.url);

/** The handbook for operators as a page, with the runbook of each alert under its reason. */
export async function operationsPage(): Promise<string> {
  const markdown = await readFile(DOCUMENT, 'utf8');
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <meta name="robots" content="noindex" />
    <title>Operating the broker</title>
    <link rel="icon" href="/console/page/icon.svg" type="image/svg+xml" />
    <link rel="stylesheet" href="/console/vendor/pico.css" />
    <link rel="stylesheet" href="/console/page/style/colours.css" />
    <link rel="stylesheet" href="/console/page/style/base.css" />
    <link rel="stylesheet" href="/console/page/style/document.css" />
  </head>
  <body>
    <main class="document">
      <p><a href="/console">The console</a></p>
      ${markdownToHtml(markdown)}
    </main>
  </body>
</html>
`;
}
