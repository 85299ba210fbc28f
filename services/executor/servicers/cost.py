"""CostService: decode, ask the domain, encode."""

import uuid
from decimal import Decimal
from typing import Any

import grpc
from convergence.executor.v1 import cost_pb2
from convergence.executor.v1 import cost_service_pb2 as messages
from convergence.executor.v1.cost_service_pb2_grpc import CostServiceServicer

from services.executor.costs.answers import CostAnswers
from services.executor.costs.changes import read_change_filter, read_name
from services.executor.costs.invoices import (
    EnteredAmount,
    compare,
    month_text,
    read_amount,
    read_currency,
    read_invoice_question,
    read_month,
)
from services.executor.costs.looks import CHANGES, DAYS, Looks
from services.executor.costs.pages import cut
from services.executor.costs.question import read_period, read_question
from services.executor.costs.store import CostStore
from services.executor.servicers.costs_to_proto import to_amount, to_change, to_cost, to_day, to_invoice, to_source, to_summary, to_totals
from services.platform.access.caller import current_caller
from services.platform.clock import Clock
from services.platform.errors import InvalidArgument
from services.platform.rpc.paging import page_size, to_token

type Context = grpc.aio.ServicerContext[Any, Any]
type AboutAnAmount = messages.PutInvoiceAmountRequest | messages.DeleteInvoiceAmountRequest

MOST_LISTED_DAYS = 400


class CostServicer(CostServiceServicer):
    """Answers what a tenant's clouds cost."""

    def __init__(self, *, answers: CostAnswers, store: CostStore, looks: Looks, clock: Clock) -> None:
        self._answers, self._store, self._looks, self._clock = answers, store, looks, clock

    async def GetCosts(self, request: messages.GetCostsRequest, context: Context) -> messages.GetCostsResponse:
        """A page of the answer to a question."""
        question = read_question(
            start_date=request.start_date,
            end_date=request.end_date,
            group_by=request.group_by,
            filters=request.filter,
            granularity=request.granularity,
            metric=request.metric,
            top=request.top,
        )
        size = page_size(request.page_size)
        answer, covered = await self._answers.costs(request.tenant_id, question)
        page = cut(answer.rows, size=size, token=request.page_token, about=question)
        return messages.GetCostsResponse(
            costs=[to_cost(question, row) for row in page.rows],
            next_page_token=page.next_token,
            totals=to_totals(answer.totals),
            days=to_summary(covered),
        )

    async def ListCostDays(self, request: messages.ListCostDaysRequest, context: Context) -> messages.ListCostDaysResponse:
        """What is known of each day of a range."""
        period = read_period(request.start_date, request.end_date, most_days=MOST_LISTED_DAYS)
        source = read_name("source", request.source)
        [look] = await self._looks.at(request.tenant_id, [DAYS])
        days = await self._store.cost_days(request.tenant_id, period, source) if look.exists else []
        covered = await self._answers.coverage(request.tenant_id, period)
        return messages.ListCostDaysResponse(
            days=[to_day(day) for day in days],
            sources=[to_source(one) for one in covered.sources if source in {None, one.source}],
            summary=to_summary(covered),
        )

    async def ListCostChanges(self, request: messages.ListCostChangesRequest, context: Context) -> messages.ListCostChangesResponse:
        """A page of changes, newest first."""
        size = page_size(request.page_size)
        wanted = read_change_filter(
            start_date=request.start_date,
            end_date=request.end_date,
            changed_from=request.changed_from,
            changed_before=request.changed_before,
            service=request.service,
            source=request.source,
            after_final=request.after_final if request.HasField("after_final") else None,
            page_token=request.page_token,
        )
        [look] = await self._looks.at(request.tenant_id, [CHANGES])
        # One more than requested, to know whether there is a next page.
        found = await self._store.cost_changes(request.tenant_id, wanted, limit=size + 1) if look.exists else []
        token = to_token(found[size - 1]["changed_at"], found[size - 1]["page_key"]) if len(found) > size else ""
        return messages.ListCostChangesResponse(changes=[to_change(row) for row in found[:size]], next_page_token=token)

    async def ListInvoices(self, request: messages.ListInvoicesRequest, context: Context) -> messages.ListInvoicesResponse:
        """A page of invoices beside the amounts that were entered."""
        size = page_size(request.page_size)
        question = read_invoice_question(
            start_month=request.start_month,
            end_month=request.end_month,
            billing_account_id=request.billing_account_id,
            used_from=request.used_from,
        )
        sums, covered = await self._answers.invoices(request.tenant_id, question)
        invoices, unmatched = compare(question, sums, await self._answers.entered(request.tenant_id))
        page = cut(invoices, size=size, token=request.page_token, about=question)
        return messages.ListInvoicesResponse(
            invoices=[to_invoice(one) for one in page.rows],
            unmatched=[to_amount(one) for one in unmatched],
            next_page_token=page.next_token,
            days=to_summary(covered),
        )

    async def PutInvoiceAmount(self, request: messages.PutInvoiceAmountRequest, context: Context) -> cost_pb2.InvoiceAmount:
        """Enters the amount of a document."""
        entered = self._entry(request, read_amount(request.amount))
        await self._enter(request.tenant_id, entered)
        return to_amount(entered)

    async def DeleteInvoiceAmount(
        self, request: messages.DeleteInvoiceAmountRequest, context: Context
    ) -> messages.DeleteInvoiceAmountResponse:
        """Takes an amount back; writes nothing if there is none."""
        gone = self._entry(request, None)
        self._answers.forget_entered(request.tenant_id)
        if any(one.key == gone.key and one.amount is not None for one in await self._answers.entered(request.tenant_id)):
            await self._enter(request.tenant_id, gone)
        return messages.DeleteInvoiceAmountResponse()

    def _entry(self, request: AboutAnAmount, amount: Decimal | None) -> EnteredAmount:
        account = read_name("billing_account_id", request.billing_account_id)
        if account is None:
            raise InvalidArgument("billing_account_id", "is required.")
        return EnteredAmount(
            invoice_month=month_text(read_month("invoice_month", request.invoice_month)),
            billing_account_id=account,
            currency=read_currency(request.currency),
            amount=amount,
            entered_by_user_id=current_caller().user_id,
            entered_at=self._clock.now(),
        )

    async def _enter(self, tenant_id: str, entered: EnteredAmount) -> None:
        try:
            await self._store.enter_amount(tenant_id, str(uuid.uuid4()), entered)
        finally:
            self._answers.forget_entered(tenant_id)
