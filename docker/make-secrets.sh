#!/bin/sh
# Makes the files of secrets that docker-compose.yml hands to its services. Usage: docker/make-secrets.sh [FOLDER]
# What is there already stays. Nobody but the owner of the folder gets to the files; each service reads its own of them,
# under different numbers of users, so the files themselves may be read by all.
set -eu
folder=${1:-$(dirname "$0")/../secrets}
mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"

random() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
keep() { # NAME VALUE
  [ -e "$1" ] && return
  printf '%s' "$2" > "$1"
  chmod 444 "$1"
}

for name in secret_key postgres_password owner_password app_password valkey_password s3_secret_key metrics_token; do
  keep "$name" "$(random)"
done
keep s3_access_key "$(random | cut -c1-20)"
keep owner_database_url "postgres://labeling_owner:$(cat owner_password)@postgres:5432/labeling"
keep app_database_url "postgres://labeling_app:$(cat app_password)@postgres:5432/labeling"
keep cache_url "redis://:$(cat valkey_password)@valkey:6379/1"
keep broker_url "redis://:$(cat valkey_password)@valkey:6379/0"
keep flower_basic_auth "flower:$(random)"
# Write your own into these two: where mail goes, and the secret of single sign-on.
keep email_url "consolemail://"
keep sso_oidc_secret ""
