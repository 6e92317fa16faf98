import { expect, it } from 'vitest';
import { anchorOf, markdownToHtml } from '../../src/console/markdown.ts';

it.each([
  ['# One *two*', '<h1 id="one-two">One <em>two</em></h1>'],
  ['a\nb **c**', '<p>a b <strong>c</strong></p>'],
  ['- a\n  b\n- c', '<ul><li>a b</li><li>c</li></ul>'],
  ['1. a\n2. b', '<ol><li>a</li><li>b</li></ol>'],
  ['`a <b> **c**`', '<p><code>a &lt;b&gt; **c**</code></p>'],
  ['[the `x`](#x-y)', '<p><a href="#x-y">the <code>x</code></a></p>'],
  ['[other](api.md#x), <https://a.example/b>', '<p>other, https://a.example/b</p>'],
  ['[bad](javascript:alert)', '<p>bad</p>'],
  ['a <script>"x" & y', '<p>a &lt;script&gt;&quot;x&quot; &amp; y</p>'],
  ['<!-- not\nseen -->\nseen', '<p>seen</p>'],
  ['```sh\n# a\n- b | <c>\n```\nd', '<pre><code># a\n- b | &lt;c&gt;</code></pre>\n<p>d</p>'],
  [
    '| a | b |\n| --- | --- |\n| `c` | d |',
    '<div class="table-scroll"><table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td><code>c</code></td><td>d</td></tr></tbody></table></div>',
  ],
])('writes %j as a page has it', (markdown, html) => expect(markdownToHtml(markdown)).toBe(html));

it('calls headings as GitHub does', () => {
  expect(['GO, serving but, NO-GO', 'quota_exceeded_*', 'Prometheus and Grafana'].map(anchorOf)).toEqual([
    'go-serving-but-no-go',
    'quota_exceeded_',
    'prometheus-and-grafana',
  ]);
});
