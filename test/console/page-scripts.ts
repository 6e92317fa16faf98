/* What runs in a page, to look at it as somebody does who uses it. */

/** Whatever can be operated, or stands for something, without a name to be called by. */
export const controlsWithoutName = `[...document.querySelectorAll('button, input, select, [role=img], progress:not([aria-hidden])')]
  .filter((each) => each.checkVisibility() && !each.textContent.trim() && !each.ariaLabel && !each.labels?.length)
  .map((each) => each.outerHTML)`;

/** What reaches beyond the page's width, and does not scroll by itself. */
export const overflowing = `document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('body *')]
  .filter((each) => each.getBoundingClientRect().right > innerWidth && each.checkVisibility())
  .map((each) => each.tagName + '.' + each.className)`;

/** Texts with a contrast below WCAG's 4.5 to what is behind them. */
export const contrastsBelow = `(() => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true });
  const paint = (colors) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => rgb
    .map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    const colors = [];
    for (let each = element; each; each = each.parentElement) colors.unshift(getComputedStyle(each).backgroundColor);
    return colors;
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest('[disabled], noscript, .visually-hidden')) continue;
    const ground = behind(element);
    const [a, b] = [luminance(paint([...ground, getComputedStyle(element).color])), luminance(paint(ground))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push([walker.currentNode.data.trim(), ratio.toFixed(2)].join(' '));
  }
  return [...new Set(low)];
})()`;
