"""Credentials that rotate while watches and log streams are open, and 401 and 403 in the middle: nothing ends because of
it, it is said, and it goes on once all is right again."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from spark_jobs.cluster.kubernetes import Credentials, KubernetesCluster
from spark_jobs.cluster.kubernetes.kubeconfig import IN_CLUSTER, find_login
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.scripted import Case, Stage, stage
from tests.fakes.answering import Handler, answers
from tests.fakes.door import listening
from tests.fakes.hurry import hurried
from tests.fakes.seeing import Seen

SOON = 20.0
NO_TOKEN = answers(401, "Unauthorized", "Unauthorized")


def swap(folder: Path, token: str) -> None:
    """As the kubelet does: a new folder, and one link that leads to it from now on."""
    version = folder / f"..{token}"
    version.mkdir()
    (version / "token").write_text(token)
    (folder / "..tmp").symlink_to(version.name)
    (folder / "..tmp").replace(folder / "..data")
    if not (folder / "token").exists():
        (folder / "token").symlink_to("..data/token")


def accept_only(c: Case, token: str) -> None:
    """The server knows this token alone, and ends what is open with another one."""
    c.api.gate = lambda seen: None if seen.token == token else NO_TOKEN
    c.api.cut()


def use(made: Stage, user: dict[str, object]) -> None:
    """Log in like this."""
    content = msgspec.json.decode(made.kubeconfig.read_bytes())
    content["users"] = [{"name": "u", "user": user}]
    made.kubeconfig.write_bytes(msgspec.json.encode(content))


async def check_goes_on(c: Case, running: str, what: str) -> None:
    """A job that runs ends well with its whole log, a new one is started, and one is cancelled."""
    cancelled = await c.submit("run", "600")
    began = c.now()
    await c.running(cancelled)
    await c.service.cancel(cancelled)
    assert (await c.ends(cancelled)).state is JobState.CANCELLED
    job, _ = await c.ends_after_its_container(running)
    assert job.state is JobState.SUCCEEDED
    await c.closed()
    assert await c.log(running) == "begin\nend\n"
    figures.at_most(f"credentials, {what}: all goes on", c.now() - began, SOON)


@hurried()
async def test_a_token_file_behind_a_link_that_is_swapped(tmp_path: Path) -> None:
    async with stage(tmp_path) as made:
        secret = tmp_path / "secret"
        secret.mkdir()
        swap(secret, "first")
        use(made, {"tokenFile": str(secret / "token")})
        async with made.core() as c:
            job_id = await c.submit("run", "3600")
            await c.running(job_id)
            for token in ("second", "third"):
                swap(secret, token)
                accept_only(c, token)
                await asyncio.sleep(5)
            refused = [seen for seen in c.api.seen if seen.token == "first"]
            await check_goes_on(c, job_id, "token file")
            assert c.core.cluster.health().reachable
            assert made.dog.times_said("lost sight") == 0, "it was asked again at once, with the new one"
            assert len([seen for seen in c.api.seen if seen.token == "first"]) == len(refused)


@hurried()
async def test_a_token_file_that_comes_late(tmp_path: Path) -> None:
    """For half a minute the old token is refused, and there is no new one."""
    async with stage(tmp_path) as made:
        secret = tmp_path / "secret"
        secret.mkdir()
        swap(secret, "first")
        use(made, {"tokenFile": str(secret / "token")})
        async with made.core() as c:
            job_id = await c.submit("run", "3600")
            await c.running(job_id)
            accept_only(c, "second")
            waiting = await c.submit("run", "1")
            await asyncio.sleep(30)
            health = c.core.cluster.health()
            assert not health.reachable
            assert "401" in (health.problem or "")
            assert (await c.service.get(waiting)).state is JobState.STARTING
            assert (await c.service.get(job_id)).state is JobState.RUNNING
            assert 1 <= made.dog.times_said("does not accept the credentials") <= 4, "it is said, and not at every try"
            swap(secret, "second")
            await check_goes_on(c, job_id, "late token file")
            assert (await c.ends(waiting)).state is JobState.SUCCEEDED
            assert made.dog.times_said("first") == 0
            assert made.dog.times_said("second") == 0


@hurried()
async def test_a_kubeconfig_that_is_written_anew(tmp_path: Path) -> None:
    """With another token in it; in between it is half a file."""
    async with stage(tmp_path) as made:
        use(made, {"token": "first"})
        async with made.core() as c:
            job_id = await c.submit("run", "3600")
            await c.running(job_id)
            accept_only(c, "second")
            await asyncio.sleep(10)
            whole = made.kubeconfig.read_bytes()
            made.kubeconfig.write_bytes(whole[:40])
            await asyncio.sleep(20)
            assert (await c.service.get(job_id)).state is JobState.RUNNING
            assert not c.core.cluster.health().reachable
            made.kubeconfig.write_bytes(whole)
            use(made, {"token": "second"})
            await check_goes_on(c, job_id, "kubeconfig written anew")
            assert made.dog.times_said("can't be used, keeping the last ones") == 1


PLUGIN = """#!{python}
import json, os
with open({runs!r}, "a") as runs:
    runs.write(".")
print(json.dumps({{"status": {{"token": "run-%d" % os.path.getsize({runs!r}), "expirationTimestamp": {expires!r}}}}}))
"""


@pytest.mark.parametrize("expires", ["2099-01-01T00:00:00Z", "2001-01-01T00:00:00+02:00"], ids=["refused", "expired"])
def test_an_exec_plugin(expires: str, tmp_path: Path) -> None:
    """``refused``: what it gave is good by its own word, and the server takes it no more; all requests that are refused
    together run it once. ``expired``: it runs for every request, without being refused first."""

    @hurried()
    async def run() -> None:
        async with stage(tmp_path) as made:
            runs = tmp_path / "runs"
            program = tmp_path / "plugin"
            program.write_text(PLUGIN.format(python=sys.executable, runs=str(runs), expires=expires))
            program.chmod(0o700)
            use(made, {"exec": {"command": str(program), "apiVersion": "client.authentication.k8s.io/v1"}})
            async with made.core() as c:
                c.api.gate = lambda seen: None if (seen.token or "").startswith("run-") else NO_TOKEN
                jobs = [await c.submit("run", "3600") for _ in range(5)]
                for job_id in jobs:
                    await c.running(job_id)
                if expires.startswith("2099"):
                    assert runs.stat().st_size == 1
                    accept_only(c, "run-2")
                    await asyncio.sleep(5)
                    figures.exactly("credentials, exec plugin: runs after one refusal of all", runs.stat().st_size, 2)
                for job_id in jobs[1:]:
                    c.api.life_of(job_id).finish()
                await check_goes_on(c, jobs[0], f"exec plugin, {expires}")
                assert made.dog.times_said("lost sight") == 0

    run()


@hurried()
async def test_an_exec_plugin_that_fails_for_a_while(tmp_path: Path) -> None:
    async with stage(tmp_path) as made:
        flag, program = tmp_path / "broken", tmp_path / "plugin"
        program.write_text(
            f"#!/bin/sh\nif [ -e {flag} ]; then echo 'sso session expired' >&2; exit 1; fi\n"
            'echo \'{"status": {"token": "t", "expirationTimestamp": "2001-01-01T00:00:00Z"}}\'\n'
        )
        program.chmod(0o700)
        use(made, {"exec": {"command": str(program)}})
        async with made.core() as c:
            job_id = await c.submit("run", "3600")
            await c.running(job_id)
            flag.touch()
            c.api.cut()
            await asyncio.sleep(30)
            assert (await c.service.get(job_id)).state is JobState.RUNNING
            health = c.core.cluster.health()
            assert not health.reachable
            assert "sso session expired" in (health.problem or "")
            assert 1 <= made.dog.times_said("sso session expired") <= 4
            flag.unlink()
            await check_goes_on(c, job_id, "exec plugin that failed")


def certificates(folder: Path) -> ssl.SSLContext:
    """An authority of our own in `ca.crt`, and a server's context."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem")
    names = ("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1")
    command = ["openssl", "req", "-x509", *key, *names, "-days", "2", "-out", "ca.crt"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.crt", folder / "key.pem")
    return context


@hurried()
async def test_a_pods_own_account(tmp_path: Path) -> None:
    """Over TLS. The token is swapped; then the authority that signs the server's certificate is another one."""
    async with stage(tmp_path) as made:
        account = tmp_path / "account"
        account.mkdir()
        swap(account, "first")
        (account / "namespace").write_text("default")
        tls = certificates(account)
        async with listening(made.api, tls) as door:
            environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(door.port)}
            config = msgspec.structs.replace(made.config, kubeconfig=IN_CLUSTER)
            credentials = Credentials(find_login(config, environ=environ, account=account))
            cluster = KubernetesCluster(config, clock=made.api.now, credentials=credentials)
            async with made.core(kubernetes=cluster) as c:
                job_id = await c.submit("run", "3600")
                await c.running(job_id)
                swap(account, "second")
                accept_only(c, "second")
                await asyncio.sleep(5)
                assert made.dog.times_said("lost sight") == 0
                certificates(account)
                tls.load_cert_chain(account / "ca.crt", account / "key.pem")
                c.api.cut()
                began = c.now()
                other = await c.submit("run", "1")
                assert (await c.ends(other)).state is JobState.SUCCEEDED
                figures.at_most("credentials, another authority: all goes on after", c.now() - began, 60)
                await check_goes_on(c, job_id, "in the cluster")


VERBS: dict[str, Callable[[Seen], bool]] = {
    "watches": lambda seen: seen.verb == "watch",
    "lists": lambda seen: seen.verb == "list",
    "creates": lambda seen: seen.verb == "create",
    "deletes": lambda seen: seen.verb == "delete",
    "stops": lambda seen: seen.verb in ("patch", "delete"),
    "logs": lambda seen: seen.resource == "pods/log",
    "all": lambda _seen: True,
}
REFUSALS: dict[int, Handler] = {
    401: NO_TOKEN,
    403: answers(403, 'User "spark" cannot do this', "Forbidden"),
}


@pytest.mark.parametrize("code", REFUSALS)
@pytest.mark.parametrize("what", VERBS)
def test_a_refusal_in_the_middle_ends_nothing(what: str, code: int, tmp_path: Path) -> None:
    """For 40 s. A create that is forbidden is the exception: that job fails, and says why."""

    @hurried(20)
    async def run() -> None:
        async with stage(tmp_path) as made, made.core() as c:
            runs, ends, cancelled = [await c.submit("run", "3600") for _ in range(3)]
            for job_id in (runs, ends, cancelled):
                await c.running(job_id)
            c.api.gate = lambda seen: REFUSALS[code] if VERBS[what](seen) else None
            c.api.cut()
            started = await c.submit("run", "1")
            await c.service.cancel(cancelled)
            c.api.life_of(ends).finish(3)
            await asyncio.sleep(75 if what == "lists" else 40)  # a list comes once a minute
            assert (await c.service.get(runs)).state is JobState.RUNNING
            if what in ("watches", "lists", "all"):
                health = c.core.cluster.health()
                assert str(code) in (health.problem or "") or not health.reachable, health
            assert made.dog.times_said("lost sight") <= 2
            assert made.dog.times_said("cluster refused") <= 3, "once for each attempt"
            c.api.gate = lambda _seen: None
            ended_at = c.now()
            job = await c.ends(ends)
            assert (job.state, job.exit_code) == (JobState.FAILED, 3)
            assert (await c.ends(cancelled)).state is JobState.CANCELLED
            job = await c.ends(started)
            if code == 403 and what in ("creates", "all"):
                assert (job.state, job.reason) == (JobState.FAILED, "AdmissionDenied")
            else:
                assert job.state is JobState.SUCCEEDED
            c.api.life_of(runs).finish()
            assert (await c.ends(runs)).state is JobState.SUCCEEDED
            await c.closed()
            figures.at_most(f"credentials, {code} to {what}: all goes on", c.now() - ended_at, 45)
            assert c.core.cluster.health().reachable
            assert c.core.cluster.health().problem is None

    run()
