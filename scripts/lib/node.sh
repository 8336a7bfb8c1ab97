# Sourced by the phases that need Node, after packages.sh.

# need_node MAJOR MINOR: installs Debian's packages where this may install them; elsewhere the person is told.
need_node() {
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
      install_packages nodejs npm
    else
      echo "missing: node and npm — install Node $1.$2 or newer" >&2
      exit 1
    fi
  fi
  local version
  version=$(node --version)
  if ! printf 'v%s.%s\n%s\n' "$1" "$2" "$version" | sort --version-sort --check=quiet; then
    echo "Node $version is too old — install Node $1.$2 or newer" >&2
    exit 1
  fi
}

# install_node_packages FOLDER: the exact packages of the folder's package-lock.json, once for each lock file.
install_node_packages() {
  local stamp
  stamp="$1/node_modules/.lock-$(sha256sum "$1/package-lock.json" | cut -d ' ' -f 1)"
  if [ ! -e "$stamp" ]; then
    npm ci --prefix "$1" --no-audit --no-fund --loglevel=error
    touch "$stamp"
  fi
}
