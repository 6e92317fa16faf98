/** One server-sent event. */
export interface ServerEvent {
  type: string;
  id: string | undefined;
  data: string;
}

/** Reads server-sent events out of text that comes in pieces, wherever it is cut. Comments give nothing. */
export function createEventParser(onEvent: (event: ServerEvent) => void): (piece: string) => void {
  let rest = '';
  let event: { type: string; id: string | undefined; data: string[] } = {
    type: 'message',
    id: undefined,
    data: [],
  };

  function readLine(line: string): void {
    if (line === '') {
      if (event.data.length > 0) onEvent({ type: event.type, id: event.id, data: event.data.join('\n') });
      event = { type: 'message', id: event.id, data: [] };
      return;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') event.type = value;
    else if (field === 'id') event.id = value;
    else if (field === 'data') event.data.push(value);
  }

  return (piece) => {
    const lines = (rest + piece).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) readLine(line.endsWith('\r') ? line.slice(0, -1) : line);
  };
}
