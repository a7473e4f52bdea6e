# Sourced by Examples/quickstart.sh and Tests/run.sh: finds what this machine lacks, and installs it.

missing=()
reasons=()

# want PACKAGE "WHY" CHECK...: PACKAGE is missing when the command CHECK fails.
want() {
  local package=$1 why=$2
  shift 2
  "$@" > /dev/null 2>&1 && return
  missing+=("$package")
  reasons+=("$why")
}

has_header() {
  local folder
  for folder in /usr/include /usr/include/*-linux-gnu /usr/local/include /opt/homebrew/include; do
    [ -e "$folder/$1" ] && return
  done
  return 1
}

has_library() {
  [ ! -x /sbin/ldconfig ] || /sbin/ldconfig -p | grep -q "^[[:space:]]*$1 "
}

# What the build needs: libraries of the Swift toolchain itself, in case that was only unpacked, and those of the program.
want_libraries() {
  want libncurses6 "for swift" has_library libncurses.so.6
  want libcurl4 "for swift build" has_library libcurl.so.4
  want libxml2 "for swift build" has_library libxml2.so.2
  want binutils "the linker" command -v ld
  want libc6-dev "C's headers" has_header stdio.h
  want libstdc++-12-dev "the libraries of the compiler" has_header c++
  want libjansson-dev "parses JSON" has_header jansson.h
  want libcurl4-openssl-dev "speaks HTTP" has_header curl/curl.h
  want libsqlite3-dev "keeps the runs" has_header sqlite3.h
  want libpq-dev "keeps them in PostgreSQL" has_header postgresql/libpq-fe.h
  want libpcre2-dev "matches the patterns of JSON Schema" has_header pcre2.h
}

# Installs the missing packages with apt-get, as root or with sudo; says what it does. Where it cannot, it lists them and ends the script.
install_missing() {
  [ ${#missing[@]} -gt 0 ] || return 0
  local index as=() why
  for index in "${!missing[@]}"; do echo "  missing: ${missing[$index]} (${reasons[$index]})"; done
  if ! command -v apt-get > /dev/null; then
    why="this is not Debian or Ubuntu"
  elif [ "$(id -u)" != 0 ] && ! command -v sudo > /dev/null; then
    why="you are not root and there is no sudo"
  elif [ "$(id -u)" != 0 ] && [ ! -t 0 ] && ! sudo -n true 2> /dev/null; then
    why="sudo wants a password and there is no terminal to ask for it"
  fi
  if [ -n "${why:-}" ]; then
    echo "They cannot be installed from here: $why. Please install them and run this again. On Debian 12:" >&2
    echo "  apt-get install ${missing[*]}" >&2
    exit 1
  fi
  if [ "$(id -u)" != 0 ]; then as=(sudo); fi
  echo "  installing with: ${as[*]}${as:+ }apt-get install ${missing[*]}"
  local log
  log=$(mktemp)
  if ! {
    "${as[@]}" apt-get update -q &&
      "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
  } > "$log" 2>&1 < /dev/null; then
    tail -n 20 "$log" >&2
    echo "apt-get failed; the lines above say why. Nothing was built." >&2
    exit 1
  fi
  rm -f "$log"
}

# Ends the script unless there is a Swift toolchain that can build the package.
check_swift() {
  local version
  if ! command -v swift > /dev/null; then
    echo "There is no 'swift' on the PATH. Install Swift 6.3 or newer: https://www.swift.org/install/linux/" >&2
    exit 1
  fi
  if ! version=$(swift --version 2>&1); then
    echo "$(command -v swift) does not run: $version" >&2
    exit 1
  fi
  version=$(sed -n 's/.*Swift version \([0-9.]*\).*/\1/p' <<< "$version" | head -n 1)
  if [ "$(printf '6.3\n%s\n' "${version:-0}" | sort -V | head -n 1)" != 6.3 ]; then
    echo "This needs Swift 6.3 or newer; $(command -v swift) is ${version:-of an unknown version}. https://www.swift.org/install/linux/" >&2
    exit 1
  fi
  echo "  Swift $version, $(command -v swift)"
}
