#!/bin/sh
# Valkey with the password of its secret: it comes by standard input, so that no list of processes shows it.
set -eu
exec docker-entrypoint.sh valkey-server - --appendonly yes --appendfsync everysec --maxmemory-policy noeviction <<CONF
requirepass $(cat /run/secrets/valkey_password)
CONF
