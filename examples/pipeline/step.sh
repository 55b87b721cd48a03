#!/bin/sh
# One step of a pipeline, run in the cluster: its log is the step's log, its exit code the step's exit code.
#
#   step.sh ID IMAGE COMMAND [ARGUMENT ...]
#
# ID names this step in this run of the pipeline (lower-case letters, digits, hyphens). Called again with the same words,
# it follows the job that is there. SPARK_SERVER and SPARK_TOKEN come from the pipeline's secret store.
set -eu

id=$1 image=$2
shift 2

# exec: the signal that cancels the pipeline must reach spark, and not a shell that waits for it.
exec spark run --id "$id" --image "$image" --timeout 30m \
    --on-interrupt cancel --result job.json -- "$@"
