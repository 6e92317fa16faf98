import { useState } from 'preact/hooks';
import { type Api, explain } from '../broker/api.ts';
import { html } from '../html.ts';
import { type Filter, parametersOf } from './sandbox-pages.ts';

interface ExportButtonProps {
  api: Api;
  filter: Filter;
}

/** What the filters leave of the pool, all pages of it, as a file for a spreadsheet. */
export function ExportButton({ api, filter }: ExportButtonProps) {
  const [isUnderWay, setUnderWay] = useState(false);
  const [problem, setProblem] = useState<string | undefined>();
  const save = async () => {
    setUnderWay(true);
    setProblem(undefined);
    try {
      offer(await api.file(`/v1/admin/export?${parametersOf(filter, { format: 'csv' })}`), 'sandboxes.csv');
    } catch (error) {
      setProblem(explain(error));
    } finally {
      setUnderWay(false);
    }
  };
  return html`
    ${problem === undefined ? null : html`<span class="problem" role="alert">${problem}</span>`}
    <button type="button" class="quiet" disabled=${isUnderWay} onClick=${save}>${isUnderWay ? 'Exporting' : 'Export CSV'}</button>
  `;
}

/** Has the browser save a file. */
function offer(file: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
