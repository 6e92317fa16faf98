import htm from 'htm';
import { h, type VNode } from 'preact';

/** A template of elements and components. Values are text, never markup: what a sandbox is called cannot become code. */
export const html = htm.bind(h) as (strings: TemplateStringsArray, ...values: unknown[]) => VNode;
