import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { explain } from './broker/api.ts';
import type { StatusRecord } from './broker/records.ts';
import { html } from './html.ts';
import { grouped } from './wording.ts';

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
  /** The words there are to choose from, each with what it means; without them it is typed. */
  among?: readonly (readonly [word: string, meaning: string])[];
  /** What it is unless the operator says otherwise. */
  preset?: string;
  /** Does it, with that word; gives what is to be said when it is done. */
  act: (word: string, work: Work) => Promise<string>;
}

/** Between who does something long and who waits for it. */
export interface Work {
  /** How far it is. */
  tell: (done: number, total: number) => void;
  /** Fires when nobody wants the rest of it any more. */
  signal: AbortSignal;
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
  const [progress, setProgress] = useState<{ done: number; total: number } | undefined>();
  const stop = useRef<AbortController | undefined>(undefined);
  const isComplete = question?.asksFor === undefined || word.trim() !== '';
  /** Whoever cancels and asks something else must not get the end of the first for the end of the second. */
  const asked = useRef(question);
  asked.current = question;

  useLayoutEffect(() => {
    // Whoever closes it wants no more of it.
    stop.current?.abort();
    setProgress(undefined);
    setProblem(question?.refusal);
    setBusy(false);
    setWord(question?.preset ?? question?.among?.[0]?.[0] ?? '');
    if (question !== undefined && dialog.current?.open === false) dialog.current.showModal();
    if (question === undefined) dialog.current?.close();
  }, [question]);

  async function confirm(): Promise<void> {
    if (question === undefined || !isComplete) return;
    setBusy(true);
    setProblem(undefined);
    const isAsked = () => asked.current === question;
    const mine = new AbortController();
    stop.current = mine;
    const tell = (done: number, total: number) => isAsked() && setProgress({ done, total });
    try {
      onNews(await question.act(word.trim(), { tell, signal: mine.signal }));
      if (isAsked()) onClose();
    } catch (error) {
      if (isAsked()) setProblem(explain(error));
      else onNews(`${question.title} ${explain(error)}`);
    } finally {
      if (isAsked()) setBusy(false);
    }
  }

  /** Else Enter would be for the first button of the form, which cancels. */
  function onEnter(event: KeyboardEvent): void {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    void confirm();
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
                ${
                  question.among
                    ? html`<select value=${word} onChange=${(event: Event) => setWord((event.currentTarget as HTMLSelectElement).value)}>
                        ${question.among.map(([each, meaning]) => html`<option key=${each} value=${each}>${meaning}</option>`)}
                      </select>`
                    : html`<input
                        type="text"
                        maxlength="128"
                        value=${word}
                        onInput=${(event: InputEvent) => setWord((event.currentTarget as HTMLInputElement).value)}
                        onKeyDown=${onEnter}
                      />`
                }
              </label>`
        }
        ${
          progress && isBusy
            ? html`<p class="progress">
                <progress aria-label=${question?.title} max=${Math.max(1, progress.total)} value=${progress.done}></progress>
                <small class="muted">${grouped(progress.done)} of ${grouped(progress.total)}</small>
              </p>`
            : null
        }
        <p class="problem" role="alert">${problem}</p>
        <div class="buttons">
          <button type="submit" class="secondary outline" autofocus>${progress && isBusy ? 'Stop' : 'Cancel'}</button>
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
