# shellcheck shell=bash
# shellcheck disable=SC2154 # $needs_browser is of run-tests.sh
# Installs the commands that the tests need and the machine lacks. Sourced, never run.

policy=/usr/sbin/policy-rc.d
policy_is_ours=

# Not installed from here: what Debian 12 has is too old.
require_node() {
    has node && has npm || die "the dashboard's tests need Node 20.19 or later, with npm: please install it"
    node --eval 'const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || (major == 20 && minor >= 19) ? 0 : 1)' ||
        die "the dashboard's tests need Node 20.19 or later, and this is $(node --version)"
}

install_missing() {
    local missing=() promtool=()
    readarray -t missing < <(missing_packages)
    has promtool || promtool=(prometheus)
    set -- "${missing[@]}" "${promtool[@]}"
    (($# > 0)) || return 0
    has apt-get || die "please install: $* (only Debian's apt-get can do it from here)"
    require_root "installing $*"
    say "installing $*"
    hold_services
    apt_get update || say "apt-get update complained; trying with what it knows"
    apt_get install --yes "${missing[@]}" || die "could not install ${missing[*]}"
    # Without what it recommends: nobody here wants an exporter that looks at disks.
    apt_get install --yes --no-install-recommends "${promtool[@]}" || die "could not install ${promtool[*]}"
    release_services
    hash -r
}

missing_packages() {
    has dockerd || engine_is_up || echo docker.io
    has docker || docker_cli_package
    has git || echo git
    has ip || echo iproute2
    has docker-compose || echo docker-compose
    has docker-registry || echo docker-registry
    has htpasswd || echo apache2-utils
    has_static_busybox || echo busybox-static
    [[ ! $needs_browser ]] || has chromium || echo chromium
}

# Newer Debians have the client in a package of its own.
docker_cli_package() {
    if apt-cache show docker-cli >/dev/null 2>&1; then echo docker-cli; else echo docker.io; fi
}

# The test images hold nothing but busybox, so it must not want a library.
has_static_busybox() {
    [[ -x /bin/busybox ]] && ! ldd /bin/busybox 2>/dev/null | grep -q '=>'
}

# With what the packages recommend: dockerd needs some of it (apparmor, cgroupfs-mount) on some machines.
apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -qq -o Dpkg::Use-Pty=0 "$@" </dev/null >&2
}

# Debian starts a service when its package is installed, unless this file says no. The tests start
# what they need themselves, and stop it again.
hold_services() {
    [[ ! -e $policy ]] || return 0
    policy_is_ours=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}

release_services() {
    [[ $policy_is_ours ]] || return 0
    as_root rm -f "$policy"
    policy_is_ours=
}
