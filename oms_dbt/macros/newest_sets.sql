{#
    The rows of the newest landed child set of every parent, for an `affected` model keyed by the parent.

    A landed day holds either all children of a parent or, when the parent is there without children, its empty set. A
    set's version is its parent's (updated_at, extracted_at). An empty set leaves no row, but the parent's current row
    remembers its version, so a set that is older never brings deleted children back.

    Args:
        parents, children: staging relations.
        current_parents: the newest version of every parent, this window's included.
        key: the parent's key, in all of them.
#}
{% macro newest_sets(parents, children, current_parents, key) %}
with parents as (
    select * from {{ parents }}
),

children as (
    select * from {{ children }}
),

landed_sets as (
    select {{ key }}, updated_at as parent_updated_at, extracted_at, landed_on from parents
    union all
    select {{ key }}, parent_updated_at, extracted_at, landed_on from children
),

{% if is_incremental() -%}
stored as (
    select * from {{ this }}
    where {{ key }} in (select {{ key }} from landed_sets)
),

stored_sets as (
    select {{ key }}, parent_updated_at, extracted_at, cast(null as date) as landed_on from stored
    union all
    select {{ key }}, updated_at as parent_updated_at, extracted_at, cast(null as date) as landed_on
    from {{ current_parents }}
    where {{ key }} in (select {{ key }} from landed_sets)
),

{% endif -%}
known_sets as (
    select * from landed_sets
    {%- if is_incremental() %}
    union all
    select * from stored_sets
    {%- endif %}
),

newest_sets as (
    select {{ key }}, landed_on
    from known_sets
    qualify row_number() over (
        partition by {{ key }}
        order by parent_updated_at desc, extracted_at desc, landed_on desc nulls last
    ) = 1
),

final as (
    select children.* exclude (landed_on)
    from children
    inner join newest_sets
        on children.{{ key }} = newest_sets.{{ key }} and children.landed_on = newest_sets.landed_on
    {%- if is_incremental() %}
    union all
    select stored.*
    from stored
    inner join newest_sets
        on stored.{{ key }} = newest_sets.{{ key }}
    where newest_sets.landed_on is null
    {%- endif %}
)

select * from final
{% endmacro %}
