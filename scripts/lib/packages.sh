# Sourced by the phases: Debian packages of commands that are missing.

# apt ARGUMENT...: apt-get, which waits for another one that is at work, as on a machine that has just started and
# installs its updates: up to ten minutes. Shows its output only where it fails.
apt() {
  local as_root=() output told="" until=$((SECONDS + 600))
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  until output=$("${as_root[@]}" env LC_ALL=C DEBIAN_FRONTEND=noninteractive \
    apt-get -o DPkg::Lock::Timeout=600 -qq "$@" 2>&1); do
    # apt waits for the lock of dpkg by itself, and not for the one of the package lists.
    if ! grep -q 'Could not get lock' <<<"$output" || ((SECONDS >= until)); then
      printf '%s\n' "$output" >&2
      return 1
    fi
    if [ -z "$told" ]; then echo "waiting for another apt-get, which holds the lock"; fi
    told=yes
    sleep 2
  done
}

# install_packages PACKAGE...
install_packages() {
  if ! command -v apt-get >/dev/null; then
    echo "missing: $* — install them (here is no apt-get)" >&2
    return 1
  fi
  echo "installing $*"
  # One command: a caller with `||` has switched `set -e` off in here.
  apt update && apt install --yes --no-install-recommends "$@"
}
