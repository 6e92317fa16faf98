/*
 * Markdown as this project's documents use it, as HTML: headings, paragraphs, lists, tables, code, bold and italic words,
 * links within the document. A link to anywhere else becomes its words.
 */

const BLOCK = /^(#{1,6} |```|\||- |\d+\. |<!--)/;
const ITEM = /^(?:- |\d+\. )/;

export function markdownToHtml(text: string): string {
  const lines = text.split('\n');
  const blocks: string[] = [];
  while (lines.length > 0) blocks.push(takeBlock(lines));
  return blocks.filter((block) => block !== '').join('\n');
}

/** As GitHub makes them: lower case, without punctuation, a dash for each space. */
export const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}_\- ]/gu, '')
    .replaceAll(' ', '-');

/** The block that the lines begin with, which are gone then. */
function takeBlock(lines: string[]): string {
  const line = lines[0] ?? '';
  if (line.trim() === '') {
    lines.shift();
    return '';
  }
  if (line.startsWith('<!--')) {
    takeUntil(lines, (each) => each.includes('-->'));
    return '';
  }
  if (line.startsWith('```')) {
    lines.shift();
    return `<pre><code>${escapeHtml(
      takeUntil(lines, (each) => each.startsWith('```'))
        .slice(0, -1)
        .join('\n'),
    )}</code></pre>`;
  }
  const [, marks, heading] = /^(#{1,6}) (.+)$/.exec(line) ?? [];
  if (marks !== undefined && heading !== undefined) {
    lines.shift();
    return `<h${marks.length} id="${escapeHtml(anchorOf(heading))}">${inline(heading)}</h${marks.length}>`;
  }
  if (line.startsWith('|')) return table(takeWhile(lines, (each) => each.startsWith('|')));
  if (ITEM.test(line))
    return list(takeWhile(lines, (each, index) => index === 0 || /^(- |\d+\. | +\S)/.test(each)));
  const paragraph = takeWhile(
    lines,
    (each, index) => each.trim() !== '' && (index === 0 || !BLOCK.test(each)),
  );
  return `<p>${inline(paragraph.join(' '))}</p>`;
}

function takeWhile(lines: string[], belongs: (line: string, index: number) => boolean): string[] {
  const end = lines.findIndex((line, index) => !belongs(line, index));
  return lines.splice(0, end < 0 ? lines.length : end);
}

/** Up to and with the first that ends it. */
function takeUntil(lines: string[], isEnd: (line: string) => boolean): string[] {
  const end = lines.findIndex(isEnd);
  return lines.splice(0, end < 0 ? lines.length : end + 1);
}

function list(lines: string[]): string {
  const tag = lines[0]?.startsWith('- ') ? 'ul' : 'ol';
  const items: string[] = [];
  for (const line of lines) {
    if (ITEM.test(line)) items.push(line.replace(ITEM, ''));
    else items[items.length - 1] += ` ${line.trim()}`;
  }
  return `<${tag}>${items.map((item) => `<li>${inline(item)}</li>`).join('')}</${tag}>`;
}

function table(lines: string[]): string {
  const cells = (line: string) => line.split('|').slice(1, -1);
  const row = (tag: 'th' | 'td') => (line: string) =>
    `<tr>${cells(line)
      .map((cell) => `<${tag}>${inline(cell.trim())}</${tag}>`)
      .join('')}</tr>`;
  const [head = '', , ...body] = lines;
  return `<div class="table-scroll"><table><thead>${row('th')(head)}</thead><tbody>${body.map(row('td')).join('')}</tbody></table></div>`;
}

const escapeHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

function inline(text: string): string {
  const codes: string[] = [];
  // What stands in code is code, whatever it looks like.
  const marked = text.replace(/`([^`]+)`/g, (_all, code: string) => `\0${codes.push(code) - 1}\0`);
  return escapeHtml(marked)
    .replace(/\[([^\]]+)\]\(([^)\s]+)\)/g, (_all, words: string, target: string) => link(words, target))
    .replace(/&lt;(https?:[^\s&]+)&gt;/g, '$1')
    .replace(/\*\*([^*]+)\*\*/g, '<strong>$1</strong>')
    .replace(/\*([^*]+)\*/g, '<em>$1</em>')
    .replace(/\0(\d+)\0/g, (_all, index: string) => `<code>${escapeHtml(codes[Number(index)] ?? '')}</code>`);
}

const link = (words: string, target: string): string =>
  target.startsWith('#') ? `<a href="${target}">${words}</a>` : words;
