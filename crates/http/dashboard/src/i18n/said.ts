/** What the server says in English, in Russian. What is not in this list is shown as it was said. */
type Rule = [RegExp, string];

const seconds = 'секунд';
const RULES: Rule[] = [
  // Rules of a spec
  [/^must be 1 to 63 characters: letters, digits, _ \. - and the first a letter or digit$/, 'должно быть от 1 до 63 символов: латинские буквы, цифры, _ . -, первой — буква или цифра'],
  [/^must be (\d+) to (\d+) characters$/, 'должно быть от $1 до $2 символов'],
  [/^must be (\d+) to (\d+)$/, 'должно быть от $1 до $2'],
  [/^must be ([\d.]+) to ([\d.]+) cores$/, 'должно быть от $1 до $2 ядер'],
  [/^must be at least 6291456 bytes \(6 MiB\)$/, 'должно быть не меньше 6 МиБ'],
  [/^must be printable ASCII without spaces$/, 'должно состоять из печатных символов ASCII без пробелов'],
  [/^must not contain credentials$/, 'не должно содержать логин и пароль'],
  [/^must not contain a NUL character$/, 'не должно содержать символ NUL'],
  [/^must not be empty or contain = or NUL$/, 'не должно быть пустым и содержать = или NUL'],
  [/^must not be empty$/, 'не должно быть пустым'],
  [/^must have either value or secret$/, 'нужно указать значение или ссылку на секрет'],
  [/^is set twice$/, 'задано дважды'],
  [/^is named twice$/, 'указано дважды'],
  [/^is mounted twice$/, 'подключено дважды'],
  [/^is published twice on the same address$/, 'опубликован дважды на одном адресе'],
  [/^start_then_stop cannot be used with a published host port$/, 'запуск до остановки невозможен при опубликованном порте хоста'],
  [/^must be 1 when a host port is published$/, 'должна быть одна, если опубликован порт хоста'],
  [/^must be the name of a network$/, 'должно быть именем сети'],
  [/^must be the only network$/, 'должна быть единственной сетью'],
  [/^cannot be used with published ports$/, 'несовместима с опубликованными портами'],
  [/^must not have an empty key$/, 'ключ не должен быть пустым'],
  [/^keys that begin with shipslog\. are taken$/, 'ключи, начинающиеся с shipslog., заняты'],
  [/^must be a volume name or an absolute path without a colon$/, 'должно быть именем тома или абсолютным путём без двоеточия'],
  [/^must be an absolute path other than \/ and without a colon$/, 'должно быть абсолютным путём, кроме /, без двоеточия'],
  [/^this source kind cannot roll back$/, 'источники этого вида не умеют откатываться'],
  [/^must be file:\/absolute\/path or env:NAME$/, 'должно быть file:/абсолютный/путь или env:ИМЯ'],
  [/^must be an IP address$/, 'должно быть IP-адресом'],
  [/^must be a whole number from (\d+) to (\d+)$/, 'должно быть целым числом от $1 до $2'],
  [/^must be a whole number, 0 or more$/, 'должно быть целым числом, не меньше 0'],
  [/^must not be longer than (\d+) characters$/, 'не должно быть длиннее $1 символов'],
  [/^is required$/, 'обязательно'],
  [/^is not valid$/, 'недопустимо'],
  [/^no plugin is registered for this source kind$/, 'источники такого вида здесь не поддерживаются'],
  [/^must be an image reference such as registry\/app:1\.4, not a URL$/, 'должно быть ссылкой на образ вида registry/app:1.4, а не URL'],
  [/^must have a digest of the form .*$/, 'после @ должен стоять дайджест вида sha256:<64 шестнадцатеричные цифры>, а перед ним — никаких логинов и паролей'],
  [/^must begin with a valid registry host.*$/, 'должно начинаться с допустимого имени реестра, например registry.example:5000/'],
  [/^must name a repository in lower-case.*$/, 'имя репозитория пишется строчными латинскими буквами и цифрами, между ними — одиночные . _ -'],
  [/^must be a name: an image id cannot be deployed$/, 'должно быть именем: развернуть по идентификатору образа нельзя'],
  [/^must have a tag of at most 128 letters, digits and _ \. -$/, 'тег — не длиннее 128 латинских букв, цифр и _ . -'],
  // Refusals
  [/^Another managed workload has this name$/, 'Другое управляемое приложение уже носит это имя'],
  [/^The workload is only observed: it was not started by shipslog$/, 'За приложением только наблюдают: его запустил не shipslog'],
  [/^The workload is observed and its containers are still there: remove them with the tool that made them$/, 'За приложением наблюдают, и его контейнеры ещё существуют: удалите их тем инструментом, которым они созданы'],
  [/^The workload is being deployed or changed$/, 'Приложение сейчас разворачивается или изменяется'],
  [/^Another dispatch of this workload is running$/, 'Идёт другой деплой этого приложения'],
  [/^No plugin is registered for the workload's source kind$/, 'Источники этого вида здесь не поддерживаются'],
  [/^The control plane is shutting down$/, 'Сервер останавливается'],
  [/^The container engine does not answer$/, 'Docker не отвечает'],
  [/^The store does not answer(?: for now)?$/, 'Хранилище сейчас не отвечает'],
  [/^The request took too long$/, 'Запрос занял слишком много времени'],
  [/^The server failed; its log says why$/, 'Сбой сервера; причина — в его журнале'],
  // Why the engine is not there
  [/^no socket at (.*)$/, 'нет сокета $1'],
  [/^connection refused at (.*)$/, 'в соединении отказано: $1'],
  [/^permission denied at (.*)$/, 'нет прав доступа: $1'],
  [/^cannot connect to (.*)$/, 'не удаётся подключиться: $1'],
  [/^no answer in time$/, 'нет ответа за отведённое время'],
  [/^the connection broke off$/, 'соединение оборвалось'],
  [/^the answer could not be understood$/, 'ответ не удалось разобрать'],
  [/^the engine answered with status (\d+)$/, 'Docker ответил кодом $1'],
  [/^It does not answer within (\d+) seconds$/, `не отвечает в течение $1 ${seconds}`],
  // How containers are read
  [/^its cgroup (v[12]) is mounted here$/, 'его cgroup $1 смонтирована здесь'],
  [/^its cgroup is not mounted here$/, 'его cgroup здесь не смонтирована'],
  [/^its files may not be read by this user$/, 'у этого пользователя нет прав на чтение его файлов'],
  [/^its files could not be understood$/, 'его файлы не удалось разобрать'],
  [/^too many files are open$/, 'открыто слишком много файлов'],
  [/^its process is not seen here.*$/, 'его процесс отсюда не виден: Docker на другом хосте или в другом пространстве имён'],
  [/^its process is in no cgroup of its own here.*$/, 'у его процесса здесь нет собственной cgroup, как при удалённом или rootless Docker'],
];

/** A sentence of the server in Russian; `null` when it is not known. */
export function inRussian(english: string): string | null {
  const [, sentence = '', stop = ''] = /^(.*?)(\.?)$/s.exec(english.trim()) ?? [];
  for (const [pattern, russian] of RULES) {
    if (pattern.test(sentence)) {
      return sentence.replace(pattern, russian) + stop;
    }
  }
  return null;
}
