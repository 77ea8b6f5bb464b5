FROM oven/bun:1.4.5 AS build
WORKDIR /app
COPY . .
RUN bun install --frozen-lockfile --production

FROM oven/bun:1.4.5-slim
RUN install -d -o bun -g bun /data
WORKDIR /app
COPY --from=build /app .
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=3000 \
    DB_PATH=/data/event_service.db \
    BUN_CONFIG_MAX_HTTP_REQUESTS=1000
USER bun
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["bun", "-e", "process.exit((await fetch('http://127.0.0.1:' + process.env.PORT + '/health/ready')).ok ? 0 : 1)"]
CMD ["bun", "packages/server/src/main.ts"]
