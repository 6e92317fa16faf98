/** An answer's body as what its endpoint answers with: the server checks every answer before it is sent. */
export const as = <Body>({ body }: { body: unknown }): Body => body as Body;
