#!/bin/sh
# Makes the passwords of the stack's own databases, those that are missing. Nobody needs to know them, so nobody sets them.
#
# Each folder is a volume: `databases` for the servers, `pipeline` for what logs in to them, `metabase` for Metabase.
set -eu
# Read by the users of other images; only containers that mount a volume see what is in it.
umask 022
cd "${1:-/var/lib/oms-secrets}"

for name in postgres dagster marts marts_reader metabase metabase_admin sample; do
    [ -s "databases/$name" ] || od -An -tx1 -N24 /dev/urandom | tr -d ' \n' > "databases/$name"
done

# Writes a file, whole or not at all.
keep() {
    cat > "$1.new"
    mv "$1.new" "$1"
}

password() {
    cat "databases/$1"
}

# What the stack has to offer, each in a file that is called as its variable.
echo "postgresql://dagster:$(password dagster)@postgres:5432/dagster" | keep pipeline/dagster_database_url
echo "postgresql://marts:$(password marts)@postgres:5432/marts" | keep pipeline/publish_url
echo "postgresql://oms:$(password sample)@sample-oms:5432/oms" | keep pipeline/sample_url
echo "smtp://mailpit:1025" | keep pipeline/smtp_url
# How Metabase logs in to the marts, and the pipeline to Metabase.
echo "postgresql://marts_reader:$(password marts_reader)@postgres:5432/marts" | keep pipeline/metabase_database_url
password metabase_admin | keep pipeline/metabase_password

password metabase | keep metabase/password
