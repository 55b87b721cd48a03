"""Settings: where each value comes from, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from spark_jobs.cluster.kubernetes.config import KubernetesConfig
from spark_jobs.cluster.kubernetes.kubeconfig import find_login
from spark_jobs.config import TABLE, Settings, flags_of, load, reference
from spark_jobs.domain.defaults import Defaults
from spark_jobs.domain.errors import CredentialsError, SettingError
from spark_jobs.domain.limits import JobLimits

HOME = {"HOME": "/home/ann"}


def with_env(**environ: str) -> Settings:
    return load({}, {**HOME, **environ})


def refused(flags: dict[str, object] | None = None, environ: dict[str, str] | None = None) -> SettingError:
    with pytest.raises(SettingError) as raised:
        load(flags or {}, {**HOME, **(environ or {})})
    return raised.value


class File:
    """A settings file that tests write."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "spark.toml"

    def load(self, text: str, flags: dict[str, object] | None = None, **environ: str) -> Settings:
        self.path.write_text(text, encoding="utf-8")
        return load(flags or {}, {**HOME, **environ}, self.path)

    def refused(self, text: str) -> SettingError:
        with pytest.raises(SettingError) as raised:
            self.load(text)
        return raised.value


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


def test_without_anything_the_documented_defaults_hold() -> None:
    settings = load({}, HOME)
    assert (settings.cluster, settings.host, settings.port) == ("kubernetes", "127.0.0.1", 8000)
    assert (settings.max_concurrent_jobs, settings.queue_size) == (5, 10_000)
    assert (settings.default_timeout, settings.start_timeout, settings.image_grace) == (300, 600, 90)
    assert (settings.kube_qps, settings.kube_burst) == (20, 30)
    assert (settings.retain_jobs, settings.retain_logs) == (30 * 86400, 7 * 86400)
    assert (settings.max_log_bytes, settings.log_cap) == (10 * 2**30, 2**30)
    assert settings.data_dir == Path("/home/ann/.local/state/spark-jobs/default")
    assert settings.origin("port") == "default"
    assert settings.warnings == ()


def test_flag_comes_before_environment_before_file_before_default(file: File) -> None:
    text = "port = 1\nqueue_size = 1\nkube_burst = 1\n"
    settings = file.load(text, {"port": "3"}, SPARK_PORT="2", SPARK_QUEUE_SIZE="2")
    assert (settings.port, settings.queue_size, settings.kube_burst) == (3, 2, 1)
    assert settings.origin("port") == "--port"
    assert settings.origin("queue_size") == "SPARK_QUEUE_SIZE"
    assert settings.origin("kube_burst") == str(file.path)


def test_flags_that_were_not_given_do_not_count() -> None:
    assert load({"port": None, "namespace": []}, {**HOME, "SPARK_NAMESPACE": "a"}).namespace == ("a",)


def test_spark_config_names_the_file(file: File) -> None:
    file.path.write_text("port = 1")
    assert with_env(SPARK_CONFIG=str(file.path)).port == 1


@pytest.mark.parametrize("name", TABLE)
def test_every_setting_survives_being_shown_and_read_again(name: str) -> None:
    setting = TABLE[name]
    shown = setting.show(setting.default)
    if setting.flag and shown:
        assert getattr(load({name: shown}, HOME), name) == setting.default


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("default_timeout", "1h30m", 5400.0),
        ("default_timeout", "none", None),
        ("retain_jobs", "none", None),
        ("keep_objects", "0", 0.0),
        ("max_log_bytes", "500MB", 500_000_000),
        ("kube_qps", "0.5", 0.5),
        ("port", 8080, 8080),
        ("namespace", ["a,b", "c"], ("a", "b", "c")),
        ("allow_origin", "https://a.example:8443", ("https://a.example:8443",)),
        ("token_file", "~/token", Path("/home/ann/token")),
        ("data_dir", "data", Path("data")),
        ("kubeconfig", "default", "/home/ann/.kube/config"),
        ("kubeconfig", "in-cluster", "in-cluster"),
        ("kubeconfig", "k.yaml", "k.yaml"),
    ],
)
def test_values_are_read_by_their_kind(name: str, written: object, value: object) -> None:
    assert getattr(load({name: written}, HOME), name) == value


@pytest.mark.parametrize(
    ("name", "written", "words"),
    [
        ("port", "http", "whole number from 0 to 65535"),
        ("port", "65536", "whole number from 0 to 65535"),
        ("port", True, "whole number"),
        ("port", 1.5, "whole number"),
        ("max_concurrent_jobs", "0", "from 1"),
        ("kube_qps", "-1", "not negative"),
        ("kube_qps", "nan", "not negative"),
        ("kube_qps", [], "not negative"),
        ("default_timeout", "0", '"none" means no limit'),
        ("image_grace", "soon", "1h30m"),
        ("log_cap", "1 GB", "512Mi"),
        ("cluster", "kubernets", "did you mean `kubernetes`"),
        ("namespace", ["Jobs"], "lower-case"),
        ("namespace", [5], "must be text"),
        ("host", "http://localhost", "without scheme"),
        ("allow_origin", "*", "https://ci.example.com"),
        ("allow_origin", "https://a.example/", "no path"),
        ("instance", "", "not be empty"),
        ("data_dir", "", "not be empty"),
    ],
)
def test_a_wrong_value_is_named_by_setting_with_what_to_write(name: str, written: object, words: str) -> None:
    flags = {name: written if written != [] else {}}
    error = refused(flags)
    assert error.setting == name
    assert error.message.startswith(f"--{name.replace('_', '-')}: ")
    assert words in error.message


def test_a_wrong_value_in_the_environment_or_file_is_named_by_its_place(file: File) -> None:
    assert refused(environ={"SPARK_PORT": "x"}).message.startswith("SPARK_PORT: ")
    assert file.refused('port = "x"').message.startswith(f"{file.path}: port: ")


def test_the_original_names_count_where_ours_say_nothing() -> None:
    older = {
        "MAX_CONCURRENT_JOBS": "7",
        "QUEUE_BUFFER_SIZE": "8",
        "DEFAULT_JOB_TIMEOUT": "9",
        "HTTP_SERVER_API_PORT": "10",
    }
    settings = with_env(**older, SPARK_PORT="11")
    assert (settings.max_concurrent_jobs, settings.queue_size, settings.default_timeout) == (7, 8, 9)
    assert settings.port == 11
    assert settings.origin("queue_size") == "QUEUE_BUFFER_SIZE"


@pytest.mark.parametrize(
    ("value", "kubeconfig"), [("", "in-cluster"), ("default", "/home/ann/.kube/config"), ("/etc/kube", "/etc/kube")]
)
def test_kubeconfig_path_means_what_it_meant(value: str, kubeconfig: str) -> None:
    assert with_env(KUBECONFIG_PATH=value).kubeconfig == kubeconfig


def test_an_empty_kubeconfig_path_takes_the_pods_own_account(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    config = KubernetesConfig(kubeconfig=with_env(KUBECONFIG_PATH="").kubeconfig)
    inside = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBECONFIG": "/nowhere"}
    assert find_login(config, environ=inside, account=tmp_path).server == "https://10.0.0.1:443"
    with pytest.raises(CredentialsError, match="not inside a cluster"):
        find_login(config, environ={}, account=tmp_path)


def test_our_own_name_comes_before_kubeconfig_path_and_empty_ones_count_as_unset() -> None:
    assert with_env(KUBECONFIG_PATH="", SPARK_KUBECONFIG="/k").kubeconfig == "/k"
    assert with_env(SPARK_KUBECONFIG="", SPARK_PORT="").port == 8000


@pytest.mark.parametrize("link", ["tcp://10.0.0.1:8000", "udp://10.0.0.1:53"])
def test_a_service_link_of_kubernetes_counts_as_unset(link: str) -> None:
    settings = with_env(SPARK_PORT=link, SPARK_PORTS=link, HTTP_SERVER_API_PORT="9")
    assert settings.port == 9
    assert settings.warnings == ()


def test_near_misses_are_told_and_other_programs_left_alone() -> None:
    names = {
        "SPARK_HOTS": "x",
        "SPARK_HOME": "/opt",
        "SPARK_MASTER_HOST": "m",
        "SPARK_CONF_DIR": "/c",
        "SPARK_SERVER": "u",
    }
    assert with_env(**names).warnings == ("SPARK_HOTS is set and is no setting of Spark; did you mean SPARK_HOST?",)


def test_what_the_original_had_and_this_does_not_apply_is_said_once() -> None:
    [limit, page] = with_env(RATE_LIMIT_REQUESTS_PER_SECOND="5", HTTP_SERVER_WEB_PORT="8080").warnings
    assert "--kube-qps" in limit
    assert "HTTP_SERVER_WEB_PORT" in page


def test_grpc_has_a_port_or_none() -> None:
    assert load({}, HOME).grpc_port == 9000
    assert load({"grpc_port": "none"}, HOME).grpc_port is None
    assert load({"grpc_port": "0"}, HOME).grpc_port == 0
    assert with_env(GRPC_SERVER_PORT="9001").grpc_port == 9001
    assert (
        with_env(GRPC_SERVER_PORT="9001", SPARK_GRPC_PORT="tcp://10.0.0.1:9000").origin("grpc_port")
        == "GRPC_SERVER_PORT"
    )
    assert '"none"' in refused({"grpc_port": "off"}).message


@pytest.mark.parametrize(("word", "means"), [("true", True), ("False", False), ("1", True), ("0", False)])
def test_reflection_is_turned_on_and_off(word: str, means: bool, file: File) -> None:
    assert load({"grpc_reflection": word}, HOME).grpc_reflection is means
    assert with_env(GRPC_SERVER_ENABLE_REFLECTION=word).grpc_reflection is means
    assert file.load(f"grpc_reflection = {str(means).lower()}").grpc_reflection is means
    assert "true or false" in refused({"grpc_reflection": "maybe"}).message


OLDER_TLS = {"GRPC_SERVER_TLS_CERT": "/c.pem", "GRPC_SERVER_TLS_KEY": "/k.pem"}


@pytest.mark.parametrize("switch", [{}, {"GRPC_SERVER_TLS_ENABLED": "true"}, {"GRPC_SERVER_TLS_ENABLED": ""}])
def test_the_older_names_of_the_certificate_count(switch: dict[str, str]) -> None:
    settings = with_env(**OLDER_TLS, **switch)
    assert (settings.grpc_tls_cert, settings.grpc_tls_key) == (Path("/c.pem"), Path("/k.pem"))
    assert settings.warnings == ()


def test_the_older_switch_turns_the_older_names_off_and_no_others() -> None:
    assert with_env(**OLDER_TLS, GRPC_SERVER_TLS_ENABLED="false").grpc_tls_cert is None
    ours = with_env(SPARK_GRPC_TLS_CERT="/a", SPARK_GRPC_TLS_KEY="/b", GRPC_SERVER_TLS_ENABLED="false")
    assert (ours.grpc_tls_cert, ours.grpc_tls_key) == (Path("/a"), Path("/b"))
    assert "GRPC_SERVER_TLS_ENABLED" in refused(environ={"GRPC_SERVER_TLS_ENABLED": "perhaps"}).message


def test_half_of_tls_is_refused_by_the_names_of_the_other_half() -> None:
    asked = refused(environ={"GRPC_SERVER_TLS_ENABLED": "true"}).message
    assert {"GRPC_SERVER_TLS_CERT", "GRPC_SERVER_TLS_KEY", "--grpc-tls-cert", "--grpc-tls-key"} <= set(
        asked.replace("(", " ").replace(")", " ").split()
    )
    half = refused({"grpc_tls_key": "/k.pem"})
    assert half.setting == "grpc_tls_cert"
    assert "--grpc-tls-key" not in half.message


def test_unknown_keys_of_the_file_are_errors_with_the_nearest_name(file: File) -> None:
    assert "did you mean `max_concurrent_jobs`" in file.refused("max-concurrent-jobs = 5").message
    assert "did you mean `job_limits`" in file.refused("[job_limit]\n").message
    assert "unknown key `colour`" in file.refused("colour = 5").message


def test_unknown_flags_are_errors() -> None:
    assert refused({"prot": 5}).setting == "prot"


def test_a_token_comes_from_the_environment_alone(file: File) -> None:
    settings = with_env(SPARK_TOKEN="a-secret-of-some-length")
    assert settings.token == "a-secret-of-some-length"
    assert ("token", "***", "SPARK_TOKEN") in settings.view()
    assert "SPARK_TOKEN" in file.refused('token = "x"').message
    assert refused({"token": "x"}).setting == "token"
    assert "token" not in {setting.name for setting in flags_of("server")}


def test_paths_in_the_file_are_relative_to_it(file: File) -> None:
    settings = file.load('data_dir = "data"\ntoken_file = "/etc/token"')
    assert settings.data_dir == file.path.parent / "data"
    assert settings.token_file == Path("/etc/token")


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"HOME": "/h", "XDG_STATE_HOME": "/s"}, "/s/spark-jobs/default"),
        ({"HOME": "/h", "XDG_STATE_HOME": "relative"}, "/h/.local/state/spark-jobs/default"),
    ],
)
def test_the_data_folder_is_in_the_state_home(environ: dict[str, str], folder: str) -> None:
    assert load({}, environ).data_dir == Path(folder)


def test_a_user_without_a_home_is_asked_for_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(SettingError, match="--data-dir"):
        load({}, {})
    with pytest.raises(SettingError, match="--token-file: this user has no home folder"):
        load({"data_dir": "/d", "token_file": "~/t"}, {})
    assert load({"data_dir": "/d"}, {}).data_dir == Path("/d")


def test_a_file_that_is_missing_or_no_toml_is_named(tmp_path: Path, file: File) -> None:
    with pytest.raises(SettingError, match=r"nowhere\.toml can't be read: No such file"):
        load({}, HOME, tmp_path / "nowhere.toml")
    assert "line 1" in file.refused("port = x\n").message


def test_job_defaults_and_limits_come_from_the_file(file: File) -> None:
    text = """
    namespace = ["jobs", "other"]
    [job_defaults]
    memory = "1Gi"
    timeout = "2m"
    labels = { team = "data" }
    [job_limits]
    max_timeout = "1h"
    namespaces = ["jobs"]
    """
    settings = file.load(text)
    job: dict[str, Any] = {"memory": "1Gi", "timeout": 120.0, "labels": {"team": "data"}}
    assert settings.namespace == ("jobs", "other")
    assert settings.defaults("jobs") == Defaults(timeout=300.0, start_timeout=600.0, namespace="jobs", job=job)
    assert settings.job_limits == JobLimits(max_timeout=3600.0, namespaces=["jobs"])


def test_no_time_limit_reaches_the_defaults() -> None:
    settings = load({"default_timeout": "none"}, HOME)
    assert settings.defaults() == Defaults(timeout="none")


def test_faults_in_job_defaults_and_limits_are_all_named(file: File) -> None:
    message = file.refused('[job_defaults]\nmemory = "512m"\ncpus = 1\n').message
    assert f"{file.path}: [job_defaults]" in message
    assert "memory: " in message
    assert "did you mean `cpu`" in message
    assert "did you mean `max_cpu`" in file.refused("[job_limits]\nmax_cpus = 1").message


@pytest.mark.parametrize("top", ["", 'default_timeout = "none"\n', "[job_defaults]\ntimeout = 61\n"])
def test_a_usual_time_limit_above_the_highest_is_refused_at_the_start(file: File, top: str) -> None:
    error = file.refused(f"{top}[job_limits]\nmax_timeout = 60\n")
    assert error.setting == "default_timeout"
    assert "max_timeout of 1m" in error.message


def test_each_command_has_its_flags() -> None:
    server = [setting.flag for setting in flags_of("server")]
    dev = [setting.flag for setting in flags_of("dev")]
    assert {"--kubeconfig", "--port", "--max-concurrent-jobs", "--allowed-host"} <= set(server)
    assert set(server) - set(dev) >= {"--cluster", "--kubeconfig", "--kube-qps"}
    assert server == [setting.flag for setting in flags_of("doctor")]


def test_the_view_shows_every_setting_with_value_and_origin() -> None:
    view = load({"port": "9"}, HOME).view()
    assert [name for name, _, _ in view] == list(TABLE)
    assert ("port", "9", "--port") in view
    assert ("retain_logs", "7d", "default") in view
    assert ("max_log_bytes", "10GiB", "default") in view


def test_the_reference_names_every_setting_flag_and_variable() -> None:
    page = reference()
    for setting in TABLE.values():
        assert f"| `{setting.name}` |" in page
        assert setting.flag is None or f"`{setting.flag}`" in page
        assert all(f"`{name}`" in page for name in setting.environment)
    assert page.endswith("|\n")
