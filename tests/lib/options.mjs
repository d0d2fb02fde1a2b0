// Options of the tools: --name value, or --name alone for true; what is not known is refused.
export function options(usage, initial) {
  const chosen = { ...initial };
  const args = process.argv.slice(2);
  while (args.length > 0) {
    const name = args.shift().replace(/^--/, "");
    if (!(name in initial)) {
      console.error(`usage: ${usage}\n${Object.entries(initial).map(([key, value]) => `  --${key} ${value}`).join("\n")}`);
      process.exit(2);
    }
    const flag = typeof initial[name] === "boolean";
    const value = flag ? true : args.shift();
    chosen[name] = typeof initial[name] === "number" ? Number(value) : value;
  }
  return chosen;
}
