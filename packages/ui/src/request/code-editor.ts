import { json, jsonParseLinter } from "@codemirror/lang-json"
import { syntaxHighlighting } from "@codemirror/language"
import { linter } from "@codemirror/lint"
import { classHighlighter } from "@lezer/highlight"
import { EditorView, minimalSetup } from "codemirror"

export interface CodeEditor {
  /** Shows another text; nothing happens when it is the one that is there. */
  readonly setText: (text: string) => void
  readonly destroy: () => void
}

const LINT_MS = 300

const lintJson = jsonParseLinter()

/** Colours come from the page, and so follow its theme. */
const THEME = EditorView.theme({
  "&": { fontSize: "13px", color: "var(--text)", backgroundColor: "transparent" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.5", minHeight: "10rem", maxHeight: "24rem" },
  ".cm-content": { caretColor: "var(--text)", padding: "8px 0" },
  ".cm-line": { padding: "0 10px" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--selection)"
  },
  ".cm-tooltip": { color: "var(--text)", backgroundColor: "var(--raised)", borderColor: "var(--line)" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--bad)" },
  ".tok-propertyName": { color: "var(--code-name)" },
  ".tok-string": { color: "var(--code-text)" },
  ".tok-number, .tok-bool, .tok-null": { color: "var(--code-value)" },
  ".tok-punctuation": { color: "var(--quiet)" }
})

/**
 * An editor for JSON that says where it is none. It lives in a tree of its own, where its styles are style sheets and no
 * inline styles, which the page's policy refuses.
 *
 * @param onChange gets the text after each change by hand
 */
export const makeEditor = (place: HTMLElement, text: string, onChange: (text: string) => void): CodeEditor => {
  const root = place.shadowRoot ?? place.attachShadow({ mode: "open" })
  let isSetting = false
  const view = new EditorView({
    doc: text,
    parent: root,
    root,
    extensions: [
      minimalSetup,
      json(),
      syntaxHighlighting(classHighlighter),
      // An empty body is no mistake.
      linter((editor) => (editor.state.doc.length === 0 ? [] : lintJson(editor)), { delay: LINT_MS }),
      EditorView.lineWrapping,
      EditorView.contentAttributes.of({ id: "body", "aria-label": "Body" }),
      EditorView.updateListener.of((update) => {
        if (update.docChanged && !isSetting) onChange(update.state.doc.toString())
      }),
      THEME
    ]
  })
  return {
    setText: (wanted) => {
      const { doc } = view.state
      if (doc.toString() === wanted) return
      isSetting = true
      view.dispatch({ changes: { from: 0, to: doc.length, insert: wanted } })
      isSetting = false
    },
    destroy: () => view.destroy()
  }
}
