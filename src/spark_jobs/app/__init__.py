"""The composition root: picks store and cluster, and starts and stops everything. Only here are concrete ones named."""
