# Sourced by ./start and ./test: install what is missing, then build kraal into a virtual environment.
#
# prepare PACKAGES EXTRAS
#   PACKAGES  Debian packages, separated by spaces
#   EXTRAS    optional dependencies of pyproject.toml, separated by commas
# Afterwards $VENV is the environment and $STATE the folder it is in.

PYTHON=/usr/bin/python3
BASE_PACKAGES="python3 python3-venv python3-dev gcc libc6-dev libacl1-dev"
# For other versions of PHP, which are there already: their php-config, with commas between, the default first.
KRAAL_PHP_CONFIG=${KRAAL_PHP_CONFIG:-}
[ -n "$KRAAL_PHP_CONFIG" ] || BASE_PACKAGES="$BASE_PACKAGES php8.2-dev libphp8.2-embed php8.2-opcache"

say() { printf 'kraal: %s\n' "$*" >&2; }

die() {
	say "$*"
	exit 70
}

# Workers run as another user, which must reach interpreter and package: nothing below a private home.
is_reachable() {
	folder=$1
	while [ "$folder" != / ]; do
		case $(stat -c %A "$folder") in
		*[xt]) ;;
		*) return 1 ;;
		esac
		folder=$(dirname "$folder")
	done
}

find_state() {
	if [ "$(id -u)" != 0 ] || is_reachable "$ROOT"; then
		STATE=$ROOT
		VENV=$ROOT/.venv
	else
		STATE=/var/lib/kraal/$(basename "$ROOT")-$(printf %s "$ROOT" | cksum | cut -d ' ' -f 1)
		VENV=$STATE/venv
		mkdir -p "$STATE"
		chmod 755 /var/lib/kraal "$STATE"
	fi
}

missing_packages() {
	# shellcheck disable=SC2086 # a list of words
	installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $1 2>/dev/null | sed -n 's/ installed$//p')
	for package in $1; do
		echo "$installed" | grep -qx "$package" || printf '%s ' "$package"
	done
}

# Installed services are not to start by themselves.
without_services() {
	guard=/usr/sbin/policy-rc.d
	if [ -e $guard ]; then
		$SUDO "$@"
		return
	fi
	printf '#!/bin/sh\nexit 101\n' | $SUDO tee $guard >/dev/null
	$SUDO chmod 755 $guard
	trap '$SUDO rm -f $guard' EXIT
	$SUDO "$@"
	$SUDO rm -f $guard
	trap - EXIT
}

install_packages() {
	missing=$(missing_packages "$1")
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null || die "this is no Debian; install these yourself: $missing"
	SUDO=
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null && sudo -v 2>/dev/null ||
			die "these Debian packages are missing; as root: apt-get install --no-install-recommends $missing"
		SUDO=sudo
	fi
	say "installing Debian packages: $missing"
	log=$(mktemp)
	{
		$SUDO apt-get -q update &&
			# shellcheck disable=SC2086 # a list of words
			without_services env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
				install --no-install-recommends $missing
	} >"$log" 2>&1 || {
		tail -n 20 "$log" >&2
		die "apt-get failed; its last lines are above, all of them in $log"
	}
	rm -f "$log"
}

fingerprint() {
	(cd "$ROOT" && {
		"$PYTHON" --version
		echo "$KRAAL_PHP_CONFIG"
		find meson.build meson.options pyproject.toml native src -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum
	} | sha256sum)
}

# The stamp has two lines: what was built, and with which extras.  Whoever wants fewer of them is served, too.
is_built() {
	[ "$(sed -n 1p "$stamp" 2>/dev/null)" = "$wanted" ] || return 1
	for extra in $(echo "$1" | tr , ' '); do
		case ,$(sed -n 2p "$stamp"), in
		*,"$extra",*) ;;
		*) return 1 ;;
		esac
	done
}

build() {
	wanted=$(fingerprint)
	stamp=$VENV/.kraal-built
	is_built "$1" && return 0
	[ -x "$VENV/bin/python" ] || {
		say "making the virtual environment $VENV"
		"$PYTHON" -m venv "$VENV" || die "python3 -m venv failed"
	}
	say "building kraal"
	rm -f "$stamp"
	# A copy is built, so that nothing of it is left in the checkout.
	source=$(mktemp -d)
	(cd "$ROOT" && cp -r LICENSE README.md meson.build meson.options pyproject.toml native src "$source")
	"$VENV/bin/python" -m pip --disable-pip-version-check install --quiet --use-pep517 \
		--config-settings="setup-args=-Dphp_config=$KRAAL_PHP_CONFIG" "$source[$1]" ||
		die "the build failed; see the lines above"
	rm -rf "$source"
	printf '%s\n%s\n' "$wanted" "$1" >"$stamp"
}

prepare() {
	find_state
	install_packages "$BASE_PACKAGES $1"
	build "$2"
}
