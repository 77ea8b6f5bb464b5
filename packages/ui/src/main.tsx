import { effect } from "@preact/signals"
import { render } from "preact"
import { Page } from "./page.tsx"
import { startCalls } from "./state/calls.ts"
import { startClock } from "./state/clock.ts"
import { askForFacts } from "./state/facts.ts"
import { startHealth } from "./state/health.ts"
import { startKeyboard } from "./state/keyboard.ts"
import { startLive } from "./state/live.ts"
import { startRequest } from "./state/request.ts"
import { startRoute, tenant, view } from "./state/route.ts"
import { startStats } from "./state/stats.ts"
import { startTheme } from "./state/theme.ts"

startTheme()
startRoute()
startClock()
startRequest()
startCalls()
startStats()
startHealth()
startLive()
startKeyboard()
void askForFacts()

effect(() => {
  document.title = `${view.value === "request" ? "Request" : "Status"} · ${tenant.value} · Event Service Agent`
})

const root = document.getElementById("page")
if (root !== null) render(<Page />, root)
