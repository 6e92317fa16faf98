import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { html } from '../html.ts';
import { timeOfDay, zoneAt } from '../wording.ts';

/** How one column of the data is drawn. */
export interface Line {
  label: string;
  /** A custom property of the style sheet. */
  color: string;
  fill?: boolean;
  isDashed?: boolean;
  axis?: 'left' | 'right';
  format?: (value: number) => string;
  /** A value on the axis. */
  tick?: (value: number) => string;
}

interface ChartProps {
  lines: readonly Line[];
  /** Epoch seconds, then a column for each line. */
  data: (number | null)[][];
  /** For those who cannot see it. */
  summary: string;
}

const HEIGHT = 220;
const FEW = 5;

/** A line chart that follows the size of its place, the colours of the page, and its data. */
export function Chart({ lines, data, summary }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  const latest = useRef(data);
  latest.current = data;
  const scheme = useColorScheme();

  useEffect(() => {
    const { current: element } = place;
    if (element === null) return undefined;
    const plot = new uPlot(optionsFor(lines, element), aligned(latest.current), element);
    chart.current = plot;
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
      chart.current = undefined;
    };
  }, [lines, scheme]);
  useEffect(() => {
    const { current: plot } = chart;
    if (plot === undefined) return;
    plot.setData(aligned(data));
    showLatest(plot);
  }, [data]);

  return html`<div class="chart" role="img" aria-label=${summary}><div ref=${place}></div></div>`;
}

/** The library's own type has the times in a place of their own. */
const aligned = (data: (number | null)[][]): uPlot.AlignedData => data as unknown as uPlot.AlignedData;

function optionsFor(lines: readonly Line[], element: HTMLElement): uPlot.Options {
  const style = getComputedStyle(element);
  const colorOf = (name: string) => style.getPropertyValue(name).trim();
  const axis: uPlot.Axis = {
    stroke: colorOf('--muted'),
    grid: { stroke: colorOf('--grid'), width: 1 },
    ticks: { show: false },
    font: '12px system-ui, sans-serif',
  };
  const right = lines.find((line) => line.axis === 'right');
  const fromZero: uPlot.Range.Function = (_plot, _min, max) => [0, Math.max(1, (max ?? 0) * 1.08)];
  return {
    width: element.clientWidth,
    height: HEIGHT,
    // The last time on the axis reaches beyond the last sample.
    padding: [12, right ? 0 : 32, 0, 0],
    cursor: { y: false, drag: { x: false, y: false } },
    legend: { live: true },
    hooks: { setCursor: [showLatest], ready: [showLatest] },
    scales: { x: { range: atLeastAMinute }, y: { range: fromZero }, right: { range: fromZero } },
    axes: [
      { ...axis, grid: { show: false }, size: 32, space: TIME_WIDTH, values: timesOfDay },
      {
        ...axis,
        size: 46,
        values: (_plot, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? compact(tick) : '')),
      },
      ...(right
        ? [
            {
              ...axis,
              scale: 'right',
              side: 1 as const,
              size: 60,
              grid: { show: false },
              values: (_plot: uPlot, ticks: number[]) =>
                ticks.map((tick) => right.tick?.(tick) ?? String(tick)),
            },
          ]
        : []),
    ],
    series: [
      {
        label: 'Time',
        value: (_plot, at) => (at === null ? '–' : `${timeOfDay(at)} ${zoneAt(at)}`),
      },
      ...lines.map(({ label, color, fill, isDashed, axis: side, format }) => ({
        label,
        scale: side === 'right' ? 'right' : 'y',
        stroke: colorOf(color),
        width: 2,
        ...(isDashed && { dash: DASH }),
        // A line needs two samples; a process that has just begun has one.
        points: { show: (plot: uPlot) => plot.data[0].length < FEW },
        spanGaps: false,
        ...(fill && { fill: `color-mix(in srgb, ${colorOf(color)} 14%, transparent)` }),
        value: (_plot: uPlot, value: number | null) =>
          value === null ? '–' : (format?.(value) ?? compact(value)),
      })),
    ],
  };
}

const SHORT_SECONDS = 600;
const DASH = [5, 3];
/** Of a time on the axis with some air, pixels: none touches the next. */
const TIME_WIDTH = 72;

/** A process that has just begun has one sample, which makes no stretch of time. */
const atLeastAMinute: uPlot.Range.Function = (_plot, from, to) => [Math.min(from, to - 60), to];

/** A young process has seconds to show, not hours. */
const timesOfDay = (_plot: uPlot, ticks: number[]): string[] =>
  ticks.map((tick) => timeOfDay(tick, (ticks.at(-1) ?? 0) - (ticks[0] ?? 0) < SHORT_SECONDS));

/** While nobody points at a moment, the legend has the latest. */
function showLatest(plot: uPlot): void {
  const last = plot.data[0].length - 1;
  if (plot.cursor.idx === null || plot.cursor.idx === undefined) plot.setLegend({ idx: last }, false);
}

const compact = (value: number): string =>
  value.toLocaleString('en-US', { notation: 'compact', maximumFractionDigits: 1 });

function useColorScheme(): 'dark' | 'light' {
  const query = matchMedia('(prefers-color-scheme: dark)');
  const [isDark, setDark] = useState(query.matches);
  useEffect(() => {
    const onChange = () => setDark(query.matches);
    query.addEventListener('change', onChange);
    return () => query.removeEventListener('change', onChange);
  }, []);
  return isDark ? 'dark' : 'light';
}
