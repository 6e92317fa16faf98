import { Argument, type Command } from 'commander';
import { print } from './output.ts';

const NAME = 'sandbox-broker';

/** What may follow a command's words, by those words: `table` → `create describe --json …`. */
function wordsAfter(command: Command, path: string[] = []): [path: string, words: string[]][] {
  const help = command.createHelp();
  const options = [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)];
  const flags = options.flatMap(({ short, long }) => [long ?? short ?? '']);
  const children = help.visibleCommands(command).filter((child) => child.name() !== 'help');
  const choices = command.registeredArguments.flatMap((argument) => argument.argChoices ?? []);
  const words = [...children.map((child) => child.name()), ...choices, ...new Set(flags)].sort();
  return [
    [path.join(' '), words],
    ...children.flatMap((child) => wordsAfter(child, [...path, child.name()])),
  ];
}

/** The values that an option's choices allow, by its flag. */
function choicesOf(command: Command): [flag: string, values: string[]][] {
  const own = command.options.flatMap((option): [string, string[]][] =>
    option.long && option.argChoices ? [[option.long, option.argChoices]] : [],
  );
  return [...own, ...command.commands.flatMap(choicesOf)];
}

/** The same flag may have other choices under another command: all of them are offered. */
function mergedChoices(program: Command): [flag: string, values: string[]][] {
  const merged = new Map<string, Set<string>>();
  for (const [flag, values] of choicesOf(program)) {
    merged.set(flag, new Set([...(merged.get(flag) ?? []), ...values]));
  }
  return [...merged].map(([flag, values]) => [flag, [...values]]);
}

function bashScript(program: Command): string[] {
  return [
    `# Completion of ${NAME} for bash: eval "$(${NAME} completion bash)"`,
    '_sandbox_broker() {',
    "  local current=$2 previous=$3 path='' words='' word",
    '  COMPREPLY=()',
    '  case $previous in',
    ...mergedChoices(program).map(([flag, values]) => `    ${flag}) words='${values.join(' ')}' ;;`),
    '    --output | --token-file) COMPREPLY=($(compgen -f -- "$current")); return ;;',
    '  esac',
    '  if [ -z "$words" ]; then',
    `    for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do`,
    '      case "$path $word" in',
    ...wordsAfter(program)
      .filter(([path]) => path !== '')
      .map(([path]) => `        '${path.includes(' ') ? path : ` ${path}`}') path='${path}' ;;`),
    '      esac',
    '    done',
    '    case $path in',
    ...wordsAfter(program).map(([path, words]) => `      '${path}') words='${words.join(' ')}' ;;`),
    '    esac',
    '  fi',
    '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
    `  [ "$path" = import ] && [ "\${current#-}" = "$current" ] && COMPREPLY+=($(compgen -f -- "$current"))`,
    '  return 0',
    '}',
    `complete -F _sandbox_broker ${NAME}`,
  ];
}

function zshScript(program: Command): string[] {
  return [
    `#compdef ${NAME}`,
    `# Completion of ${NAME} for zsh: eval "$(${NAME} completion zsh)", behind compinit`,
    '_sandbox_broker() {',
    "  local walked='' word",
    `  case \${words[CURRENT-1]} in`,
    ...mergedChoices(program).map(
      ([flag, values]) => `    ${flag}) compadd -- ${values.join(' ')}; return ;;`,
    ),
    '    --output|--token-file) _files; return ;;',
    '  esac',
    `  for word in \${words[2,CURRENT-1]}; do`,
    '    case "$walked $word" in',
    ...wordsAfter(program)
      .filter(([path]) => path !== '')
      .map(([path]) => `      '${path.includes(' ') ? path : ` ${path}`}') walked='${path}' ;;`),
    '    esac',
    '  done',
    '  case $walked in',
    ...wordsAfter(program).map(([path, words]) => `    '${path}') compadd -- ${words.join(' ')} ;;`),
    '  esac',
    '  [[ $walked == import ]] && _files',
    '}',
    `compdef _sandbox_broker ${NAME}`,
  ];
}

function fishScript(program: Command): string[] {
  const print = (words: string[]) => `printf '%s\\n' ${words.join(' ')}`;
  return [
    `# Completion of ${NAME} for fish: ${NAME} completion fish | source`,
    'function __sandbox_broker_words',
    '  set -l before (commandline -opc)',
    '  switch $before[-1]',
    ...mergedChoices(program).map(([flag, values]) => `    case ${flag}; ${print(values)}; return`),
    '    case --output --token-file; __fish_complete_path (commandline -ct); return',
    '  end',
    "  set -l walked ''",
    '  for word in $before[2..]',
    '    switch "$walked $word"',
    ...wordsAfter(program)
      .filter(([path]) => path !== '')
      .map(([path]) => `      case '${path.includes(' ') ? path : ` ${path}`}'; set walked '${path}'`),
    '    end',
    '  end',
    '  switch $walked',
    ...wordsAfter(program).map(([path, words]) => `    case '${path}'; ${print(words)}`),
    '  end',
    '  test $walked = import; and __fish_complete_path (commandline -ct)',
    'end',
    `complete -c ${NAME} -f -a '(__sandbox_broker_words)'`,
  ];
}

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript };

/** Scripts that know every command and option there is: they are made of the program itself. */
export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .description('print a completion script')
    .addArgument(new Argument('<shell>').choices(Object.keys(SCRIPTS)))
    .addHelpText(
      'after',
      `
Examples, in ~/.bashrc, in ~/.zshrc behind compinit, in ~/.config/fish/config.fish:
  eval "$(${NAME} completion bash)"
  eval "$(${NAME} completion zsh)"
  ${NAME} completion fish | source`,
    )
    .action((shell: keyof typeof SCRIPTS) => print(SCRIPTS[shell](program)));
}
