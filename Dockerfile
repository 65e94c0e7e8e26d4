# Front-end files from npm packages.
FROM node:22-slim AS assets
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY script/assets.mjs script/assets.mjs
RUN mkdir static && node script/assets.mjs

FROM python:3.11-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 STATIC_ROOT=/app/static-collected DATA_DIR=/data
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes -r requirements.txt
COPY . .
COPY --from=assets /app/static/vendor static/vendor
RUN SECRET_KEY=only-for-the-build python manage.py collectstatic --noinput -v 0 \
    && useradd --system --uid 10001 labeling && mkdir /data && chown labeling /data
USER labeling
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"
CMD ["gunicorn", "labeling_platform.wsgi", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--workers", "2", "--threads", "8", "--reuse-port", "--preload"]
