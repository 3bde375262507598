// The SDK's reference, made from its declaration files: what they export, member by member, with what stands above each.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

const MODULES = [["linecard", "linecard.d.ts"], ["linecard/salesforce", "salesforce.d.ts"], ["linecard/streams", "streams.d.ts"]];
const HEADS = {
  en: { title: "# The SDK, name by name", other: "中文：[sdk-reference.zh-CN.md](sdk-reference.zh-CN.md). ", intro: "How it is used: [sdk.md](sdk.md). This page is made from the SDK's own types (`UPDATE_DOCS=1 node --test tests/web/sdk/reference.test.js`). The frames of the protocol and what can be asked (`Requests`) are in [frames.d.ts](../web/sdk/frames.d.ts).", member: "member", what: "what" },
  zh: { title: "# SDK 逐项参考", other: "English: [sdk-reference.md](sdk-reference.md)。", intro: "用法见 [sdk.zh-CN.md](sdk.zh-CN.md)。本页由 SDK 自己的类型生成（`UPDATE_DOCS=1 node --test tests/web/sdk/reference.test.js`），说明为英文原文。协议的帧和可以请求的（`Requests`）见 [frames.d.ts](../web/sdk/frames.d.ts)。", member: "成员", what: "说明（英文）" },
};

const doc = (node) => ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc).map(({ comment }) => ts.getTextOfJSDocComment(comment) ?? "").join(" ").replace(/\s+/g, " ").trim();
const line = (text) => text.replace(/\s+/g, " ").replace(/;$/, "").trim();
/** In a table a bar ends the cell, in code too. */
const code = (text) => `\`${line(text).replaceAll("|", "\\|")}\``;
const cell = (text) => text.replaceAll("|", "\\|").replace(/(^|[^`])(<[a-z][^>`]*>)/g, "$1`$2`");
const hidden = (member) => ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Private;

function entry(node, file, heads) {
  const head = (name) => [`### ${name}`, "", ...(doc(node) ? [cell(doc(node)), ""] : [])];
  if (ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node)) {
    const rows = node.members.filter((member) => !hidden(member)).map((member) => `| ${code(member.getText(file))} | ${cell(doc(member))} |`);
    const heritage = (node.heritageClauses ?? []).map((clause) => clause.getText(file)).join(" ");
    return [...head(node.name.text), ...(heritage ? [code(heritage), ""] : []), ...(rows.length ? [`| ${heads.member} | ${heads.what} |`, "|---|---|", ...rows, ""] : [])];
  }
  const text = line(node.getText(file).replace(/^export (declare )?/, ""));
  const name = ts.isVariableStatement(node) ? node.declarationList.declarations[0].name.text : node.name.text;
  return [...head(name), "```ts", text, "```", ""];
}

/** The page in a language, from the files as they are in `folder`. */
export function reference(folder, language) {
  const heads = HEADS[language], out = [heads.title, "", heads.other + heads.intro, ""];
  for (const [module, name] of MODULES) {
    const file = ts.createSourceFile(name, readFileSync(join(folder, name), "utf8"), ts.ScriptTarget.Latest, true);
    const exported = file.statements.filter((node) => ts.canHaveModifiers(node) && ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword));
    out.push(`## \`${module}\``, "", ...exported.flatMap((node) => entry(node, file, heads)));
  }
  return out.join("\n");
}
