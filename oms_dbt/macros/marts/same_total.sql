{#
    A column adds up to the same total in two models, per value of some columns both have. Nothing counts as zero.

    Args:
        other: the relation to compare with.
        by: the columns both are grouped by.
        other_column: the other's name of the column, if it differs.
        other_where: condition on the other's rows.
#}
{% test same_total(model, column_name, other, by, other_column=none, other_where='true') %}
    with totals as (
        select {{ by | join(', ') }}, {{ column_name }} as amount, 0 as other_amount from {{ model }}
        union all
        select {{ by | join(', ') }}, 0 as amount, {{ other_column or column_name }} as other_amount
        from {{ other }}
        where {{ other_where }}
    )

    select {{ by | join(', ') }}, sum(amount) as amount, sum(other_amount) as other_amount
    from totals
    group by {{ by | join(', ') }}
    having coalesce(sum(amount), 0) <> coalesce(sum(other_amount), 0)
{% endtest %}
