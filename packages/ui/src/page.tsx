import { Header } from "./parts/header.tsx"
import { KeyHelp } from "./parts/key-help.tsx"
import { KeyLine } from "./parts/key-line.tsx"
import { Notices } from "./parts/notices.tsx"
import { WarningLine } from "./parts/warning-line.tsx"
import { RequestView } from "./request/request-view.tsx"
import { view } from "./state/route.ts"
import { StatusView } from "./status/status-view.tsx"

export const Page = () => (
  <>
    <Header />
    <KeyLine />
    <WarningLine />
    <main id="main">{view.value === "request" ? <RequestView /> : <StatusView />}</main>
    <Notices />
    <KeyHelp />
  </>
)
