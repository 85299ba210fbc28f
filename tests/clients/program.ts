// A frontend's calls, typed by gen/openapi.json. It is compiled, not run: what the compiler takes is what the document promises.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Schemas = components["schemas"];
const client = createClient<paths>({ baseUrl: "http://127.0.0.1:8080", headers: { "X-API-Key": "..." } });

/** Errors are decided on by their reason, whose words the compiler knows; the details are told apart by `@type`. */
function reasonOf(error: Schemas["Error"]): Schemas["ErrorReason"] | undefined {
  for (const detail of error.details) {
    if (detail["@type"] === "type.googleapis.com/google.rpc.ErrorInfo") {
      return detail.reason;
    }
  }
  return undefined;
}

/** Starts a run, once, however often it is sent. */
export async function start(tenant_id: string, date: string): Promise<string> {
  const { data, error, response } = await client.POST("/api/v1/pipelines/run/{tenant_id}/{provider}/{domain}/{template}", {
    params: {
      path: { tenant_id, provider: "gcp", domain: "cost", template: "billing" },
      header: { "Idempotency-Key": crypto.randomUUID(), "X-User-ID": "jo@acme.example" },
    },
    body: { date, accept_less: false },
  });
  if (error) {
    const reason = reasonOf(error);
    const seconds = response.headers.get("Retry-After");
    throw new Error(reason === "DAILY_LIMIT_REACHED" ? "tomorrow" : `${reason}, again in ${seconds} s`);
  }
  // What is always there need not be checked.
  const identity: string = data.pipeline_logging_id;
  return identity;
}

/** A status is one of four words. */
export function colour(status: Schemas["RunStatus"]): string {
  switch (status) {
    case "RUNNING":
      return "blue";
    case "COMPLETED":
      return "green";
    case "FAILED":
    case "CANCELLED":
      return "red";
  }
}

/** All pages of a tenant's failed runs. */
export async function failures(tenant_id: string): Promise<string[]> {
  const found: string[] = [];
  let page_token = "";
  do {
    const query = { status: "FAILED" as const, page_size: 200, ...(page_token && { page_token }) };
    const { data, error } = await client.GET("/api/v1/pipelines/runs/{tenant_id}", { params: { path: { tenant_id }, query } });
    if (error) {
      throw new Error(error.message);
    }
    for (const run of data.runs) {
      // What may be absent has to be looked at.
      const rows: bigint = BigInt(run.rows_processed ?? "0");
      found.push(`${run.pipeline_logging_id} ${colour(run.status)} ${rows} ${run.error_message ?? ""}`);
    }
    page_token = data.next_page_token;
  } while (page_token);
  return found;
}

// What the document forbids does not compile. (TypeScript complains of a directive that has nothing to expect.)
export async function refused(): Promise<void> {
  const path = { tenant_id: "acme_corp" };
  // @ts-expect-error - no such word
  await client.GET("/api/v1/pipelines/runs/{tenant_id}", { params: { path, query: { status: "DONE" } } });
  // @ts-expect-error - a schedule needs a cron expression
  await client.POST("/api/v1/tenants/{tenant_id}/schedules", { params: { path }, body: { provider: "gcp", domain: "cost", pipeline_template: "billing" } });
  // @ts-expect-error - no such path
  await client.GET("/api/v1/runs/of/{tenant_id}", { params: { path } });
}
