import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { explain } from './broker/api.ts';
import type { StatusRecord } from './broker/records.ts';
import { html } from './html.ts';

/** Something an operator is about to do. */
export interface Question {
  title: string;
  /** What will happen, a sentence each. */
  consequences: string[];
  /** What a dry run makes of it; undefined where it makes no difference. */
  inDryRun?: string | undefined;
  confirm: string;
  /** Why it is not to be done, as far as the page knows; what was asked for and what is there differ. */
  refusal?: string | undefined;
  isDangerous?: boolean;
  /** A word of the operator's own that it needs, by the name of its field. */
  asksFor?: string | undefined;
  /** Does it, with that word; gives what is to be said when it is done. */
  act: (word: string) => Promise<string>;
}

interface ConfirmationProps {
  question: Question | undefined;
  dryRun: StatusRecord['dry_run'] | undefined;
  onClose: () => void;
  onNews: (text: string) => void;
}

/** Says what will happen, and does it when it is confirmed. */
export function Confirmation({ question, dryRun, onClose, onNews }: ConfirmationProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | undefined>();
  const [word, setWord] = useState('');
  const isComplete = question?.asksFor === undefined || word.trim() !== '';
  /** Whoever cancels and asks something else must not get the end of the first for the end of the second. */
  const asked = useRef(question);
  asked.current = question;

  useLayoutEffect(() => {
    setProblem(question?.refusal);
    setBusy(false);
    setWord('');
    if (question !== undefined && dialog.current?.open === false) dialog.current.showModal();
    if (question === undefined) dialog.current?.close();
  }, [question]);

  async function confirm(): Promise<void> {
    if (question === undefined || !isComplete) return;
    setBusy(true);
    setProblem(undefined);
    const isAsked = () => asked.current === question;
    try {
      onNews(await question.act(word.trim()));
      if (isAsked()) onClose();
    } catch (error) {
      if (isAsked()) setProblem(explain(error));
      else onNews(`${question.title} ${explain(error)}`);
    } finally {
      if (isAsked()) setBusy(false);
    }
  }

  return html`
    <dialog class="confirmation" ref=${dialog} onClose=${onClose} aria-labelledby="question-title" aria-describedby="question-text">
      <form method="dialog">
        <h2 id="question-title">${question?.title}</h2>
        <div id="question-text">
          <ul>${question?.consequences.map((text) => html`<li>${text}</li>`)}</ul>
          ${
            dryRun?.enabled && question?.inDryRun !== undefined
              ? html`<p class="banner"><strong>Dry run.</strong> ${question.inDryRun}</p>`
              : null
          }
        </div>
        ${
          question?.asksFor === undefined
            ? null
            : html`<label>
                ${question.asksFor}
                <input
                  type="text"
                  maxlength="128"
                  value=${word}
                  onInput=${(event: InputEvent) => setWord((event.currentTarget as HTMLInputElement).value)}
                />
              </label>`
        }
        <p class="problem" role="alert">${problem}</p>
        <div class="buttons">
          <button type="submit" class="secondary outline" autofocus>Cancel</button>
          <button
            type="button"
            class=${question?.isDangerous ? 'dangerous' : ''}
            disabled=${isBusy || !isComplete || question?.refusal !== undefined}
            aria-busy=${isBusy}
            onClick=${() => void confirm()}
          >
            ${question?.confirm}
          </button>
        </div>
      </form>
    </dialog>
  `;
}
