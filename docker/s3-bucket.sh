#!/bin/sh
# Makes the bucket. The client reads where and who from its environment, so that no list of processes shows it.
set -eu
MC_HOST_s3="http://$(cat /run/secrets/s3_access_key):$(cat /run/secrets/s3_secret_key)@s3:9000"
export MC_HOST_s3
until mc ls s3 > /dev/null; do sleep 1; done
mc mb --ignore-existing s3/labeling
