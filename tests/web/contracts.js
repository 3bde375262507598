// What others' contracts are, from the registry: their packages, exactly these, beside the other modules. Only the tests read them; nothing of them is shipped. They
// are not devDependencies, for those come with two hundred packages that nobody here calls. npm runs this after `npm ci`.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PACKAGES = [
  // BSD-3-Clause
  ["@salesforce/scv-connector-base", "3.6.2", "sha512-rNmuqqHXNiv2j55n00u7hxsV6ZghLMaOs8iGbBHDeOGV6039XcM5focLE8JIgMfKf/GEiwLeUiP8IzYP6rZkWQ=="],
  // Apache-2.0
  ["amazon-connect-streams", "2.28.2", "sha512-YbGgGBmva2f9bUJEy8e/QLDbOLKO0WdaTh7c1slVdExn961BMR+sCa2ObbCt0JfcZeAbIWgKqiTaNA8hEmjQ4g=="],
];
const folder = mkdtempSync(join(tmpdir(), "linecard-contracts-"));
for (const [name, version, integrity] of PACKAGES) {
  const said = execFileSync("npm", ["pack", `${name}@${version}`, "--json", "--ignore-scripts", "--pack-destination", folder], { stdio: ["ignore", "pipe", "inherit"] });
  const file = join(folder, JSON.parse(said)[0].filename.replace("@", "").replace("/", "-"));
  const found = `sha512-${createHash("sha512").update(readFileSync(file)).digest("base64")}`;
  if (found !== integrity) throw new Error(`${name} ${version} is not the one that was read: ${found}`);
  const place = join(fileURLToPath(import.meta.url), "../node_modules", name);
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  execFileSync("tar", ["xzf", file, "-C", place, "--strip-components=1"]);
}
rmSync(folder, { recursive: true });
