#!/bin/sh
# Flower reads the broker and its password from its environment. Without a password it does not start: it can stop workers.
set -eu
CELERY_BROKER_URL=$(cat /run/secrets/broker_url)
FLOWER_BASIC_AUTH=$(cat /run/secrets/flower_basic_auth)
: "${FLOWER_BASIC_AUTH:?write user:password into secrets/flower_basic_auth}"
export CELERY_BROKER_URL FLOWER_BASIC_AUTH
exec celery flower --address=0.0.0.0
