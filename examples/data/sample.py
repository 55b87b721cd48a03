"""Writes fifty small files into the claim `sales`, so that there is something to add up."""

from spark_jobs.sync import Runner

WRITE = """
awk 'BEGIN {
    for (part = 1; part <= 50; part++)
        for (row = 1; row <= 100; row++)
            printf "item-%d,%d\\n", row, part * row > sprintf("/data/part-%02d.csv", part)
}'
"""

if __name__ == "__main__":
    with Runner() as runner:
        runner.add_task(
            {
                "image": "busybox:1",
                "command": ["sh", "-c", WRITE],
                "volumes": [{"mount": "/data", "pvc": "sales"}],
            }
        ).result()
    print("wrote 50 files")
