import { render } from 'preact';
import { App } from './app.ts';
import { html } from './html.ts';

const root = document.getElementById('console');
if (root === null) throw new Error('the page has no place for the console');
root.replaceChildren();
render(html`<${App} />`, root);
