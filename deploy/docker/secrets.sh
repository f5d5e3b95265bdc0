#!/bin/sh
# Makes the passwords of the stack's own databases, those that are missing. Nobody needs to know them, so nobody sets them.
set -eu
umask 077
cd "${1:-/var/lib/oms-secrets}"

for name in postgres dagster marts marts_reader metabase metabase_admin sample; do
    [ -s "$name" ] || od -An -tx1 -N24 /dev/urandom | tr -d ' \n' > "$name"
    # Read by the users of other images; only containers that mount this volume see it.
    chmod 0644 "$name"
done

# How the pipeline's own processes log in: https://www.postgresql.org/docs/current/libpq-pgpass.html
{
    echo "postgres:5432:dagster:dagster:$(cat dagster)"
    echo "postgres:5432:marts:marts:$(cat marts)"
    echo "sample-oms:5432:oms:oms:$(cat sample)"
} > pgpass.new
mv pgpass.new pgpass

# How Metabase logs in to the marts.
echo "postgresql://marts_reader:$(cat marts_reader)@postgres:5432/marts" > metabase_database_url.new
mv metabase_database_url.new metabase_database_url
