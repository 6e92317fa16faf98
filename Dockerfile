# The dependencies that production needs, and no others.
FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev && npm cache clean --force

# TypeScript runs on Node's type stripping: the sources are the program.
FROM node:24-slim
# One heap for C's threads, which gives back what it has no use for, and what is compiled is kept: a third of the memory at
# rest less.
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=8080 \
    MALLOC_ARENA_MAX=2 \
    MALLOC_MMAP_THRESHOLD_=131072 \
    MALLOC_TRIM_THRESHOLD_=131072 \
    NODE_COMPILE_CACHE=/app/.compiled
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY bin ./bin
COPY src ./src
# What alerts lead to.
COPY docs/operations.md ./docs/
# Loads the broker's modules once, and starts nothing: the image brings them compiled, and runs without the compiler of types.
RUN ["node", "--always-sparkplug", "--max-semi-space-size=8", "--heap-growing-percent=50", "--eval", "import('/app/src/compose/index.ts')"]
# Only the bundled engine's file is ever written, if it is asked for; mount a volume here to keep it.
RUN mkdir data && chown node:node data
USER node
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["node", "--eval", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Without a shell in between, SIGTERM reaches the broker itself. The baseline compiler from the first call on: a training
# begins on a cold process. A young generation of 16 MiB, not 64: what requests leave behind fits into it. The old one
# is collected when it has grown by half, not when it has trebled: what outlives a request by chance is much.
CMD ["node", "--always-sparkplug", "--max-semi-space-size=8", "--heap-growing-percent=50", "src/main.ts"]
