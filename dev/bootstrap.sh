#!/bin/sh
# Makes .venv from requirements/dev.lock, or does nothing if the stamp says that it is whole and current.
# A Python is found by running it: a pyenv shim may exist and fail, a Debian Python may lack venv.
# SPARK_PYTHON names one candidate to use instead of the list.
set -eu
cd "$(dirname "$0")/.."

venv=.venv
stamp=$venv/.complete
candidates=${SPARK_PYTHON:-python3.13 python3.12 python3.11 python3 python}
wanted=$(cat requirements/dev.lock pyproject.toml hatch_build.py | cksum)

usable='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'
recent='import sys; sys.exit(sys.version_info < (3, 11))'

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && "$venv/bin/python" -c "$recent" >/dev/null 2>&1; then
    exit 0
fi

# A shim may hide a Python that works further down the PATH, so every folder is tried, not only the first match.
find_python() {
    for name in $candidates; do
        case $name in */*) folders=; path=$name ;; *) folders=$PATH; path= ;; esac
        if [ -n "$path" ]; then
            if "$path" -c "$1" >/dev/null 2>&1; then echo "$path"; return 0; fi
            continue
        fi
        old_ifs=$IFS; IFS=:
        for folder in $folders; do
            if [ -x "${folder:-.}/$name" ] && "${folder:-.}/$name" -c "$1" >/dev/null 2>&1; then
                IFS=$old_ifs; echo "${folder:-.}/$name"; return 0
            fi
        done
        IFS=$old_ifs
    done
    return 1
}

if ! python=$(find_python "$usable"); then
    {
        if python=$(find_python "$recent"); then
            echo "setup: $python has no venv or ensurepip, which .venv needs. Install it, then run this again:"
        else
            echo "setup: no Python 3.11 or newer runs here (tried: $candidates). Install one, then run this again:"
        fi
        echo "  Debian, Ubuntu:  sudo apt-get install python3 python3-venv"
        echo "  macOS:           brew install python@3.13"
        echo "  another Python:  SPARK_PYTHON=/path/to/python make setup"
    } >&2
    exit 1
fi

echo "setup: making $venv with $python ($("$python" -c 'import platform; print(platform.python_version())'))" >&2
if [ -f "$stamp" ] && "$venv/bin/python" -c "$recent" >/dev/null 2>&1; then
    rm -f "$stamp"
else
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi
# What the command line imports is compiled, so that it starts here as it does for users also where Python is told to
# write no bytecode; to compile all the rest would take as long again as to install it.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/base.lock
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements/dev.lock
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --no-build-isolation --editable .
"$venv/bin/python" -m compileall -q src
echo "$wanted" >"$stamp"
echo "setup: $venv is ready" >&2
