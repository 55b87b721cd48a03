#!/bin/sh
# Packs the claim `database` into one file a day of the claim `backups`. Safe to repeat: the day is in the job's id, so
# a second run of the same day starts nothing, prints the log of the first one and ends with its exit code.
set -eu

exec spark run --id "backup-$(date +%F)" --name nightly-backup \
    --image busybox:1 \
    --volume pvc/database:/database:ro --volume pvc/backups:/backups \
    --timeout 2h --retries 2 --backoff 10m \
    --submit-timeout 10m --reconnect-timeout 30m \
    -- sh -euc '
        cd /backups
        # Under another name until it is whole. The id of the job is the name of the file.
        tar -czf "$SPARK_JOB_ID.part" -C /database .
        mv "$SPARK_JOB_ID.part" "$SPARK_JOB_ID.tar.gz"
        echo "$SPARK_JOB_ID.tar.gz holds $(tar -tzf "$SPARK_JOB_ID.tar.gz" | grep -vc /$) files"
    '
